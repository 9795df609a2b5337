_base_ = [
    '../models/deeplabv3plus_mbv2.py', '../datasets/semi_cityscapes.py', '../schedules/sgd_44k_semi.py',
    '../default_runtime.py'
]

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 19
_base_.model.decode_head.sampler = dict(type='OHEMPixelSampler', thresh=0.7, min_kept=50000)
_base_.model.test_cfg = dict(mode='slide', crop_size=_base_.crop_size, stride=(534, 534))
# The teachers are trained by cross pseudo supervision on the same labels, such as by
# `python tools/train.py configs/semi/cps_r101_cityscapes.py`.
train_dataloader = dict(dataset=dict(partition='cityscapes/1_8'))
model = dict(
    _delete_=True,
    type='SemiSupervisedDistiller',
    student=_base_.model,
    teacher=dict(
        deep=dict(
            config='mmseg_kd::semi/cps_r101_cityscapes.py', checkpoint='work_dirs/cps_r101_cityscapes/iter_44544.pth'),
        wide=dict(
            config='mmseg_kd::semi/cps_wide_cityscapes.py', checkpoint='work_dirs/cps_wide_cityscapes/iter_44544.pth')))
