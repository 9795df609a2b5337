_base_ = './sgd_40k_semi.py'

# As long as 137 epochs of the unlabelled seven eighths of Cityscapes in batches of 8. The learning rate of the
# published code is 0.02 on eight GPUs, by the same division this one.
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=44544, by_epoch=False)]
train_cfg = dict(max_iters=44544, val_interval=4454)
default_hooks = dict(checkpoint=dict(interval=4454))
