# 3.66 million parameters, from scratch, because no pretrained weights exist.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(224, 224),
        pad_val=0,
        seg_pad_val=255),
    backbone=dict(type='CompactEncoder'),
    decode_head=dict(
        type='CompactHead',
        in_channels=[32, 32, 64, 128, 256],
        channels=16,
        num_classes=21,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
