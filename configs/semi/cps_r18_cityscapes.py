_base_ = ['../_base_/setups/semi_r18_cityscapes.py', '../_base_/terms/semi_cps_cityscapes.py']
model = dict(
    _delete_=True,
    type=_base_.distiller,
    student=_base_.model.student,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
