# Huang et al., "Knowledge Distillation from A Stronger Teacher" (arXiv 2205.10536). The released trainer also
# compares the auxiliary heads, which a frozen teacher does not run.
terms = dict(
    loss_dist=dict(student='logits', teacher='logits', loss=dict(type='DISTLoss'), weight=1.0))
