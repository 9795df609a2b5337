_base_ = './compact.py'

# Half the width and a quarter of the parameters, for the scenes of digits.
model = dict(
    data_preprocessor=dict(mean=[128.0, 128.0, 128.0], std=[64.0, 64.0, 64.0], size=(64, 64)),
    backbone=dict(channels=(16, 16, 32, 64, 128)),
    decode_head=dict(in_channels=[16, 16, 32, 64, 128], channels=8, num_classes=11))
