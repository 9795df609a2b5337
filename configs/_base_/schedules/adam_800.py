_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

# For the compact network on the digits. From scratch, few iterations need a high learning rate.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=1e-2, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=800, by_epoch=False),
]
train_cfg = dict(max_iters=800, val_interval=800)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=800, save_best=None, max_keep_ckpts=2))
