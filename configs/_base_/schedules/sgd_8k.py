_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

# A tenth of `sgd_80k.py`, for small data sets on one GPU.
optim_wrapper = dict(optimizer=dict(lr=0.01, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=8000, by_epoch=False)]
train_cfg = dict(max_iters=8000, val_interval=800)
default_hooks = dict(checkpoint=dict(interval=800, save_best='mIoU', max_keep_ckpts=2))
