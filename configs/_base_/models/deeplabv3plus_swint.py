_base_ = 'mmseg::_base_/models/deeplabv3plus_r50-d8.py'

# 34.2 M parameters, 6.7 M of them in the head, which reads the first and the last stage. Its dilations are a quarter of
# those for stride 8, because its input has stride 32.
model = dict(
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        embed_dims=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        out_indices=(0, 3),
        drop_path_rate=0.3,
        norm_cfg=dict(type='LN', requires_grad=True),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/swin/'
            'swin_tiny_patch4_window7_224_20220317-1cdeb081.pth')),
    decode_head=dict(
        in_channels=768,
        in_index=1,
        channels=336,
        dilations=(1, 3, 6, 9),
        c1_in_channels=96,
        loss_decode=[
            dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0),
            dict(type='SoftDiceLoss', loss_weight=1.0),
        ]),
    auxiliary_head=None)
