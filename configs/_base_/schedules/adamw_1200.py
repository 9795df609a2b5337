_base_ = './adamw_600.py'

# Longer, for a network that is to teach others.
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=1200, by_epoch=False)]
train_cfg = dict(max_iters=1200, val_interval=600)
default_hooks = dict(checkpoint=dict(interval=600))
