# Huang et al., "Knowledge Distillation from A Stronger Teacher" (arXiv 2205.10536), with the auxiliary heads as in the
# released trainer.
terms = dict(
    loss_dist=dict(student='logits', teacher='logits', loss=dict(type='DISTLoss'), weight=1.0),
    loss_aux_dist=dict(student='auxiliary_head', teacher='auxiliary_head', loss=dict(type='DISTLoss'), weight=0.4))
