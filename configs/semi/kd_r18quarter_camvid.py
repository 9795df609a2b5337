_base_ = ['../_base_/tasks/semi_r18quarter_camvid.py', '../_base_/pairs/semi_camvid.py', '../_base_/terms/semi_kd.py']

model = dict(
    _delete_=True,
    type='SemiSupervisedDistiller',
    student=_base_.model,
    teacher=dict(deep=_base_.teachers.deep),
    # From the deep teacher alone, as in the runs of docs/benchmarks/semi_camvid.md.
    terms=dict(loss_pi=_base_.terms.loss_pi_deep),
    unlabeled_terms=dict(loss_unlabeled_pi=_base_.unlabeled_terms.loss_unlabeled_pi_deep),
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
