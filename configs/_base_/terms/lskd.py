# Sun et al., "Logit Standardization in Knowledge Distillation" (arXiv 2403.01427), for every pixel. Published for
# whole images only: the weight is ours.
terms = dict(
    loss_std=dict(student='logits', teacher='logits', loss=dict(type='StandardizedKDLoss'), weight=1.0))
