_base_ = [
    '../_base_/models/deeplabv3plus_wide.py', '../_base_/datasets/semi_voc12_few.py',
    '../_base_/schedules/sgd_40k_semi.py', '../_base_/default_runtime.py', '../_base_/terms/semi_cps.py'
]

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 21
model = dict(
    _delete_=True,
    type=_base_.distiller,
    student=_base_.model,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
