_base_ = [
    '../_base_/models/deeplabv3plus_r101.py', '../_base_/datasets/semi_cityscapes.py',
    '../_base_/schedules/sgd_44k_semi.py', '../_base_/default_runtime.py', '../_base_/terms/semi_cps_cityscapes.py'
]

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 19
_base_.model.decode_head.sampler = dict(type='OHEMPixelSampler', thresh=0.7, min_kept=50000)
_base_.model.test_cfg = dict(mode='slide', crop_size=_base_.crop_size, stride=(534, 534))
model = dict(
    _delete_=True,
    type=_base_.distiller,
    student=_base_.model,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
