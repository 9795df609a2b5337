_base_ = './pidnet_s.py'

# Half the width and a quarter of the parameters, without pretrained weights, for machines without a GPU.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(channels=16, ppm_channels=48, norm_cfg=norm_cfg, init_cfg=None),
    decode_head=dict(in_channels=64, channels=64, norm_cfg=norm_cfg))
