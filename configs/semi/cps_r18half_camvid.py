_base_ = ['../_base_/tasks/semi_r18half_camvid.py', '../_base_/terms/semi_cps_camvid.py']

model = dict(
    _delete_=True,
    type='CrossPseudoSupervision',
    student=_base_.model,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
