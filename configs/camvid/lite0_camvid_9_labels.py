_base_ = [
    '../_base_/models/segformer_lite2.py', '../_base_/datasets/camvid_9_labels.py',
    '../_base_/schedules/adamw_2k_pretrained.py', '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(model_name='tf_efficientnet_lite0', init_cfg=dict(variant='lite0')),
    decode_head=dict(
        in_channels=[24, 40, 112, 320],
        channels=64,
        num_classes=11,
        # Those of `camvid_class_weight.py`.
        loss_decode=dict(class_weight=[0.53, 0.45, 2.19, 0.39, 1.0, 0.65, 1.96, 1.41, 0.89, 2.53, 2.97])))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=50, end=1200, by_epoch=False),
]
train_cfg = dict(max_iters=1200, val_interval=300)
default_hooks = dict(checkpoint=dict(interval=1200, save_best=None))
