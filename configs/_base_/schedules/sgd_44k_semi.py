_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

# As many iterations as 137 epochs of the unlabeled 7/8 of Cityscapes in batches of 8. The published learning rate is
# 0.02 on eight GPUs; the same division as in `sgd_40k_semi.py` gives this one.
optim_wrapper = dict(
    optimizer=dict(lr=0.0025, weight_decay=5e-4), paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=44544, by_epoch=False)]
train_cfg = dict(max_iters=44544, val_interval=4454)
default_hooks = dict(checkpoint=dict(interval=4454, save_best='mIoU', max_keep_ckpts=2))
