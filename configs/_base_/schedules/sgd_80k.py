_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

optim_wrapper = dict(optimizer=dict(lr=0.01, momentum=0.9, weight_decay=5e-4))
# Down to zero, where MMSegmentation stops at 1e-4: that floor would be 2 % of the lowest learning rate in use here.
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=80000, by_epoch=False)]
default_hooks = dict(checkpoint=dict(save_best='mIoU', max_keep_ckpts=2))
