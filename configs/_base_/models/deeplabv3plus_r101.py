_base_ = './deeplabv3plus_r18.py'

model = dict(
    pretrained='open-mmlab://resnet101_v1c',
    backbone=dict(depth=101, multi_grid=(2, 4, 8)),
    decode_head=dict(in_channels=2048, c1_in_channels=256))
