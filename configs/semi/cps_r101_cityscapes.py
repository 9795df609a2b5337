_base_ = ['../_base_/tasks/semi_r101_cityscapes.py', '../_base_/terms/semi_cps.py']

train_dataloader = dict(dataset=dict(partition='cityscapes/1_8'))
model = dict(
    _delete_=True,
    type='CrossPseudoSupervision',
    student=_base_.model,
    unlabeled_terms=dict(loss_cps=dict(_base_.unlabeled_terms.loss_cps, weight=5.0)),
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
