_base_ = './sgd_80k.py'

# A tenth, for small data sets on one GPU.
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=8000, by_epoch=False)]
train_cfg = dict(max_iters=8000, val_interval=800)
default_hooks = dict(checkpoint=dict(interval=800))
