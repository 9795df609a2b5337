_base_ = [
    '../models/deeplabv3plus_r18.py', '../datasets/semi_cityscapes.py',
    '../schedules/sgd_44k_semi.py', '../default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=19, sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=50000)),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(534, 534)))
