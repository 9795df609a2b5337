_base_ = './deeplabv3plus_swint.py'

# All four stages and their norms are frozen and in eval mode, without dropped paths.
model = dict(backbone=dict(frozen_stages=4))
# The backbone freezes itself after DDP has wrapped the model, so DDP must not wait for its gradients.
find_unused_parameters = True
