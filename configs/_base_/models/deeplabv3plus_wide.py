_base_ = './deeplabv3plus_r101.py'

# 66.8 M parameters in the backbone: the "Wide ResNet-34" of multi-granularity distillation.
model = dict(
    pretrained=None,
    backbone=dict(
        type='WideResNet', depth=50, init_cfg=dict(type='Pretrained', checkpoint='torchvision://wide_resnet50_2')))
