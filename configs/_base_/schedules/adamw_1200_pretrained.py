_base_ = './adamw_2k_pretrained.py'

# For few labels, or small crops.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=50, end=1200, by_epoch=False),
]
train_cfg = dict(max_iters=1200, val_interval=300)
default_hooks = dict(checkpoint=dict(_delete_=True, type='CheckpointHook', by_epoch=False, interval=1200))
