# Channel-wise distillation from the deep teacher on all images, as a baseline for multi-granularity distillation (arXiv
# 2208.10169); with the weight and temperature of its own paper (arXiv 2011.13256).
mix = dict(type='CutMix')
terms = dict(
    loss_cwd=dict(student='logits', teacher='deep.logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0))
unlabeled_terms = dict(
    loss_unlabeled_cwd=dict(
        student='logits', teacher='deep.logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0))
semi_hooks = [dict(type='StepSeedHook')]
