_base_ = './adamw_600.py'

# Twelve minutes of one core on CamVid. Students from scratch have not converged by then (docs/benchmarks/camvid.md).
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=2400, by_epoch=False)]
train_cfg = dict(max_iters=2400, val_interval=600)
default_hooks = dict(checkpoint=dict(interval=600))
