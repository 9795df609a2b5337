_base_ = [
    '../models/deeplabv3plus_mbv2.py', '../datasets/semi_cityscapes.py', '../schedules/sgd_44k_semi.py',
    '../default_runtime.py', '../models/semi_teachers_cityscapes.py'
]

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 19
_base_.model.decode_head.sampler = dict(type='OHEMPixelSampler', thresh=0.7, min_kept=50000)
_base_.model.test_cfg = dict(mode='slide', crop_size=_base_.crop_size, stride=(534, 534))
model = dict(
    _delete_=True, type='SemiSupervisedDistiller', student=_base_.model, teacher=_base_.teachers)
