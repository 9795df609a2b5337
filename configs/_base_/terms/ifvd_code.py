_base_ = './ifvd_paper.py'

# The published code weighs the variation by 200, not 50, and its critic sees raw logits through batch normalization.
terms = dict(loss_ifv=dict(weight=200.0), loss_ho=dict(loss=dict(type='RawHolisticKDLoss')))
