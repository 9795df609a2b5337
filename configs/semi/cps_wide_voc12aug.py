_base_ = ['../_base_/tasks/semi_wide_voc12aug.py', '../_base_/terms/semi_cps.py']

train_dataloader = dict(dataset=dict(partition='voc12aug/1_8'))
model = dict(
    _delete_=True,
    type='CrossPseudoSupervision',
    student=_base_.model,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
