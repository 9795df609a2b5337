# The default initialization of `mmpretrain.EfficientNet`.
scratch = [
    dict(type='Kaiming', layer='Conv2d'),
    dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val=1),
]
