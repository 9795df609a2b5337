_base_ = 'mmseg::_base_/models/deeplabv3plus_r50-d8.py'

# `deeplabv3plus_r18.py` with a quarter of the width, without pretrained weights, with BN instead of SyncBN. The head's
# dilations are a third of those for crops of 512, because a crop of 128 has 8 columns at stride 16.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(
        depth=18,
        stem_channels=16,
        base_channels=16,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        multi_grid=(2, 4),
        norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=128,
        channels=64,
        c1_in_channels=16,
        c1_channels=16,
        dilations=(1, 2, 4, 6),
        dropout_ratio=0.0,
        align_corners=True,
        norm_cfg=norm_cfg),
    auxiliary_head=None)
