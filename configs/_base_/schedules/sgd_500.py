_base_ = './sgd_80k.py'

# For small data sets on small machines: minutes, from scratch, in small batches so that there are more updates.
optim_wrapper = dict(optimizer=dict(lr=0.05, weight_decay=5e-4))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=500, by_epoch=False)]
train_cfg = dict(max_iters=500, val_interval=250)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=250))
