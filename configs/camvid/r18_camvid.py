_base_ = [
    '../_base_/models/pspnet_r18_scratch.py', '../_base_/datasets/camvid_240x180.py',
    '../_base_/schedules/adamw_600.py', '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=11),
    auxiliary_head=dict(num_classes=11))
# Longer than its students.
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=1200, by_epoch=False)]
train_cfg = dict(max_iters=1200, val_interval=600)
default_hooks = dict(checkpoint=dict(interval=600))
