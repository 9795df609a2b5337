_base_ = './ifvd_paper.py'

# In the published code, the variation has weight 200, not 50, and the discriminator sees batch-normalized raw logits.
terms = dict(loss_ifv=dict(weight=200.0), loss_ho=dict(loss=dict(type='RawHolisticKDLoss')))
