# The softened outputs of both teachers on all images: the baseline "KD" of multi-granularity distillation (arXiv
# 2208.10169). The paper gives no settings for it; temperature 1 and weight 1 for each teacher are ours.
distiller = 'SemiSupervisedDistiller'
mix = dict(type='CutMix')
terms = dict(
    loss_pi_deep=dict(student='logits', teacher='deep.logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0),
    loss_pi_wide=dict(student='logits', teacher='wide.logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0))
unlabeled_terms = dict(
    loss_unlabeled_pi_deep=dict(
        student='logits', teacher='deep.logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0),
    loss_unlabeled_pi_wide=dict(
        student='logits', teacher='wide.logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0))
semi_hooks = []
