_base_ = 'mmseg::_base_/models/fcn_r50-d8.py'

# torchvision's fcn_resnet50, with a 7x7 stem, and one convolution in the head.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(type='ResNet', norm_cfg=norm_cfg),
    decode_head=dict(num_convs=1, concat_input=False, num_classes=21, norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=21, norm_cfg=norm_cfg))
