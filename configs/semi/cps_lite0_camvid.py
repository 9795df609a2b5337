_base_ = ['../_base_/setups/semi_lite0_camvid.py', '../_base_/terms/semi_cps.py']
model = dict(
    _delete_=True,
    type=_base_.distiller,
    student=_base_.model.student,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
