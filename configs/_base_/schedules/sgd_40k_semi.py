_base_ = 'mmseg::_base_/schedules/schedule_80k.py'

# As many iterations as 60 epochs of all 10,582 images of VOC in batches of 16, for every partition. For 8 labeled and 8
# unlabeled images over all GPUs. The weight decay is the paper's. The published code sets the learning rate to 0.01
# and divides gradients by its four GPUs once too often, which gives this rate (and a weight decay of 4e-4: `_code`).
optim_wrapper = dict(
    optimizer=dict(lr=0.0025, weight_decay=5e-4), paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=39680, by_epoch=False)]
train_cfg = dict(max_iters=39680, val_interval=3968)
default_hooks = dict(checkpoint=dict(interval=3968, save_best='mIoU', max_keep_ckpts=2))
