# Zhao et al., "Decoupled Knowledge Distillation" (arXiv 2203.08679), for every pixel. It is published for
# classification only; the weight is ours.
terms = dict(
    loss_dkd=dict(student='logits', teacher='logits', loss=dict(type='DKDLoss'), weight=1.0))
