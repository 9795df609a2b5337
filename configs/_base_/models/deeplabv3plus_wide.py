_base_ = 'mmseg::_base_/models/deeplabv3plus_r50-d8.py'

# 66.8 M parameters in the backbone: the "Wide ResNet-34" of multi-granularity distillation. Stride 16 and a narrow
# head, as in `deeplabv3plus_r18.py`.
model = dict(
    pretrained=None,
    backbone=dict(
        type='WideResNet',
        depth=50,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        multi_grid=(2, 4, 8),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://wide_resnet50_2')),
    decode_head=dict(channels=256, dilations=(1, 6, 12, 18), dropout_ratio=0.0, align_corners=True),
    auxiliary_head=None)
