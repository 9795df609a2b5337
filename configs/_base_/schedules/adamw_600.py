_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

# For small data sets on small machines: minutes, from scratch. With so few iterations, AdamW is better than SGD.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.01))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=600, by_epoch=False)]
train_cfg = dict(max_iters=600, val_interval=300)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=300, save_best='mIoU', max_keep_ckpts=2))
