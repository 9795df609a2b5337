_base_ = './deeplabv3plus_r18quarter_scratch.py'

# Twice as wide everywhere.
model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    decode_head=dict(in_channels=256, channels=128, c1_in_channels=32, c1_channels=32))
