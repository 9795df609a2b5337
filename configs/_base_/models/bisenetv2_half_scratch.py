_base_ = 'mmseg::_base_/models/bisenetv2.py'

# Half the width and two of the four auxiliary heads, whose losses at full resolution take most of the time of a step
# without a GPU. The heads are thinner too: three of the original ones have 256 to 1024 channels.
norm_cfg = dict(type='BN', requires_grad=True)
_base_.model.auxiliary_head[2].update(in_channels=32, channels=32, norm_cfg=norm_cfg)
_base_.model.auxiliary_head[3].update(in_channels=64, channels=64, norm_cfg=norm_cfg)
model = dict(
    backbone=dict(detail_channels=(32, 32, 64), semantic_channels=(8, 16, 32, 64), bga_channels=64),
    decode_head=dict(in_channels=64, channels=64, norm_cfg=norm_cfg),
    auxiliary_head=_base_.model.auxiliary_head[2:])
