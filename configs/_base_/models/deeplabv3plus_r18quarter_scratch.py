_base_ = './deeplabv3plus_r18.py'

# A quarter as wide everywhere, without pretrained weights, with BN in place of SyncBN. The head's dilations are a third
# of those for crops of 512: a crop of 128 is 8 places wide where they are.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(stem_channels=16, base_channels=16, norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=128, channels=64, c1_in_channels=16, c1_channels=16, dilations=(1, 2, 4, 6), norm_cfg=norm_cfg))
