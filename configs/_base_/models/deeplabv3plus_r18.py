_base_ = 'mmseg::_base_/models/deeplabv3plus_r50-d8.py'

# As in cross pseudo supervision: stride 16, the last stage dilated by 2 and 4, no dropout, no auxiliary head. Unlike
# the published code, the head has separable convolutions.
model = dict(
    pretrained='open-mmlab://resnet18_v1c',
    backbone=dict(depth=18, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), multi_grid=(2, 4)),
    decode_head=dict(
        in_channels=512,
        c1_in_channels=64,
        channels=256,
        dilations=(1, 6, 12, 18),
        dropout_ratio=0.0,
        align_corners=True),
    auxiliary_head=None)
