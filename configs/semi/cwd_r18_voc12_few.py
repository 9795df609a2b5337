_base_ = ['../_base_/tasks/semi_r18_voc12_few.py', '../_base_/pairs/semi_voc12_few.py', '../_base_/terms/semi_cwd.py']

train_dataloader = dict(dataset=dict(partition='voc12_few/1_8'))  # that of the teachers
model = dict(
    _delete_=True,
    type='SemiSupervisedDistiller',
    student=_base_.model,
    teacher=_base_.teachers,
    terms=_base_.terms,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
