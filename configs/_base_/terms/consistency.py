# Xie et al., "Improving Fast Segmentation With Teacher-student Learning" (arXiv 1810.08476): consistency of pixels
# and of their differences from their neighbors. The weights are ours.
terms = dict(
    loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0),
    loss_consistency=dict(student='logits', teacher='logits', loss=dict(type='ConsistencyKDLoss'), weight=0.1))
