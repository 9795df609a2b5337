_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

# For the compact network, with the published optimizer. The training is too short to wait for plateaus.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=1e-3, weight_decay=1e-4))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=2400, by_epoch=False)]
train_cfg = dict(max_iters=2400, val_interval=600)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=600, save_best='mIoU', max_keep_ckpts=2))
