_base_ = './deeplabv3plus_r18quarter_scratch.py'

# Deeper, and twice as wide but for the head.
model = dict(
    backbone=dict(depth=34, stem_channels=32, base_channels=32, multi_grid=(2, 4, 8)),
    decode_head=dict(in_channels=256, c1_in_channels=32))
