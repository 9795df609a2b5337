_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

# For the demo: thin networks from scratch in about a minute, which need a high learning rate.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1.6e-2, weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=800, by_epoch=False),
]
train_cfg = dict(max_iters=800, val_interval=800)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=800, save_best=None, max_keep_ckpts=2))
