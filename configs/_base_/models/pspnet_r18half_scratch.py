_base_ = './pspnet_r18_scratch.py'

# Half as wide everywhere: a quarter of the parameters.
model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    decode_head=dict(in_channels=256, channels=64),
    auxiliary_head=dict(in_channels=128, channels=32))
