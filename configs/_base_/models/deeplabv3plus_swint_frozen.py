_base_ = './deeplabv3plus_swint.py'

# All four stages and their norms, in eval mode: no dropped paths.
model = dict(backbone=dict(frozen_stages=4))
# The backbone freezes itself when training begins, after the model is distributed: its gradients must not be waited
# for.
find_unused_parameters = True
