# Qin et al., "Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised Semantic Segmentation" (ECCV
# 2022, arXiv 2208.10169), with the paper's weights: 0.002 for ImageSemanticLoss, a mean over the
# classes, and 100. The published code sums over classes and images instead (`mgd_code_*`).
distiller = 'MultiGranularityDistiller'
mix = dict(type='CutMix')
terms = dict(
    loss_deep=dict(student='logits', teacher='deep.logits', loss=dict(type='PseudoLabelLoss'), weight=1.0),
    loss_wide=dict(student='logits', teacher='wide.logits', loss=dict(type='PseudoLabelLoss'), weight=1.0))
unlabeled_terms = dict(
    loss_unlabeled_deep=dict(
        student='logits', teacher='deep.unmixed.logits', loss=dict(type='PseudoLabelLoss'), weight=1.0),
    loss_unlabeled_wide=dict(
        student='logits', teacher='wide.unmixed.logits', loss=dict(type='PseudoLabelLoss'), weight=1.0),
    loss_image=dict(student='logits', teacher='deep.logits', loss=dict(type='ImageSemanticLoss'), weight=0.002),
    loss_region=dict(
        student='prelogits', teacher='wide.prelogits', loss=dict(type='RegionContentLoss'), weight=100.0))
semi_hooks = []
