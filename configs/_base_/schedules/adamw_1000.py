_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

# Longer than `adamw_600.py`, for teachers.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.01))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=1000, by_epoch=False)]
train_cfg = dict(max_iters=1000, val_interval=500)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=500, save_best='mIoU', max_keep_ckpts=2))
