# Channel-wise distillation from both teachers on all images: the baseline "CWD" of multi-granularity distillation
# (arXiv 2208.10169). That paper gives no settings for it; weight and temperature are those of CWD (arXiv
# 2011.13256).
distiller = 'SemiSupervisedDistiller'
mix = dict(type='CutMix')
terms = dict(
    loss_cwd_deep=dict(
        student='logits', teacher='deep.logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0),
    loss_cwd_wide=dict(
        student='logits', teacher='wide.logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0))
unlabeled_terms = dict(
    loss_unlabeled_cwd_deep=dict(
        student='logits', teacher='deep.logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0),
    loss_unlabeled_cwd_wide=dict(
        student='logits', teacher='wide.logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0))
semi_hooks = []
