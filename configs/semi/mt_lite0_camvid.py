_base_ = ['../_base_/setups/semi_lite0_camvid.py', '../_base_/terms/semi_mt.py']
model = dict(
    _delete_=True,
    type=_base_.distiller,
    student=_base_.model.student,
    terms=_base_.terms,
    unlabeled_terms=_base_.unlabeled_terms)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
