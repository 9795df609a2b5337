# Sun et al., "Logit Standardization in Knowledge Distillation" (arXiv 2403.01427), for every pixel. It is
# published for classification only; the weight is ours.
terms = dict(
    loss_std=dict(student='logits', teacher='logits', loss=dict(type='StandardizedKDLoss'), weight=1.0))
