_base_ = 'mmseg::_base_/models/pspnet_r50-d8.py'

# Five outputs of strides 2, 4, 8, 16, 32 with 16, 24, 40, 112, 320 channels. The head reads the last one, at stride 32
# because this backbone has no dilation; the auxiliary head reads the one before. Both are as wide as with ResNet-18.
model = dict(
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='mmpretrain.EfficientNet',
        arch='b0',
        out_indices=(1, 2, 3, 4, 5),
        norm_cfg=dict(type='SyncBN', eps=1e-3, requires_grad=True),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://mmassets.onedl.ai/mmclassification/v0/efficientnet/'
            'efficientnet-b0_3rdparty_8xb32_in1k_20220119-a7e2a0b1.pth',
            prefix='backbone')),
    decode_head=dict(in_channels=320, in_index=4, channels=128),
    auxiliary_head=dict(in_channels=112, in_index=3, channels=64))
