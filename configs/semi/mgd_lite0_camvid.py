_base_ = ['../_base_/setups/semi_lite0_camvid.py', '../_base_/terms/semi_mgd_tuned.py']
model = dict(
    type=_base_.distiller, terms=_base_.terms, unlabeled_terms=_base_.unlabeled_terms, mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
