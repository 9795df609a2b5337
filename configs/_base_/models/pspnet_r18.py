_base_ = 'mmseg::_base_/models/pspnet_r50-d8.py'

# With MMSegmentation's stem of three 3x3 convolutions. torchvision's ResNet-18 has one of 7x7:
# backbone=dict(type='ResNet') and pretrained='torchvision://resnet18'.
model = dict(
    pretrained='open-mmlab://resnet18_v1c',
    backbone=dict(depth=18),
    decode_head=dict(in_channels=512, channels=128),
    auxiliary_head=dict(in_channels=256, channels=64))
