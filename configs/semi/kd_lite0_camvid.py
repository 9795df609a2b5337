_base_ = ['../_base_/setups/semi_lite0_camvid.py', '../_base_/terms/semi_kd.py']

# From the deep teacher only.
model = dict(
    type=_base_.distiller,
    teacher=dict(_delete_=True, deep=_base_.model.teacher.deep),
    terms=dict(loss_pi=_base_.terms.loss_pi_deep),
    unlabeled_terms=dict(loss_unlabeled_pi=_base_.unlabeled_terms.loss_unlabeled_pi_deep),
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
