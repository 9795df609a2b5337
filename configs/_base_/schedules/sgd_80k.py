_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

optim_wrapper = dict(optimizer=dict(lr=0.01, momentum=0.9, weight_decay=5e-4))
# Down to 0. MMSegmentation's minimum of 1e-4 would be 2 % of our lowest learning rate.
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=80000, by_epoch=False)]
default_hooks = dict(checkpoint=dict(save_best='mIoU', max_keep_ckpts=2))
