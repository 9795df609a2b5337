_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

# For a pretrained backbone on a small data set. The new head has five times the learning rate.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.2))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=50, end=2000, by_epoch=False),
]
train_cfg = dict(max_iters=2000, val_interval=250)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=250, save_best='mIoU', max_keep_ckpts=2))
