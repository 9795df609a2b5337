_base_ = 'mmseg::_base_/models/deeplabv3plus_r50-d8.py'

# Stride 16 and a narrow head, as in `deeplabv3plus_r18.py`.
model = dict(
    pretrained='mmcls://mobilenet_v2',
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        widen_factor=1.0,
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(1, 2, 4, 6),
        norm_cfg=dict(type='SyncBN', requires_grad=True)),
    decode_head=dict(
        in_channels=320,
        c1_in_channels=24,
        c1_channels=24,
        channels=256,
        dilations=(1, 6, 12, 18),
        dropout_ratio=0.0,
        align_corners=True),
    auxiliary_head=None)
