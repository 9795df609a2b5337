# SegFormer's head, which reads all stages, on a thin ResNet-18. The stride is at most 8, because the digits are small.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[128.0, 128.0, 128.0],
        std=[64.0, 64.0, 64.0],
        bgr_to_rgb=True,
        size=(64, 64),
        pad_val=0,
        seg_pad_val=255),
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        stem_channels=24,
        base_channels=24,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 1, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        contract_dilation=True,
        zero_init_residual=False),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[24, 48, 96, 192],
        in_index=[0, 1, 2, 3],
        channels=64,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=norm_cfg,
        align_corners=False,
        # With the usual std of 0.01, the gradient is too small: a thin network would learn nothing in the demo.
        init_cfg=dict(type='Normal', std=0.18, override=dict(name='conv_seg')),
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
