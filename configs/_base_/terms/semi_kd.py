# The deep teacher's softened answers on all images, as a baseline for multi-granularity distillation (arXiv 2208.10169),
# which does not tell its settings: these are ours.
mix = dict(type='CutMix')
terms = dict(loss_pi=dict(student='logits', teacher='deep.logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0))
unlabeled_terms = dict(
    loss_unlabeled_pi=dict(student='logits', teacher='deep.logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0))
semi_hooks = [dict(type='StepSeedHook')]
