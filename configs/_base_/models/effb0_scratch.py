# What `mmpretrain.EfficientNet` starts from where no `init_cfg` is given.
scratch = [
    dict(type='Kaiming', layer='Conv2d'),
    dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val=1),
]
