_base_ = './mgd.py'

# The released code adds channel-wise distillation of the logits, which the paper does not mention.
terms = dict(
    loss_cwd=dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0))
