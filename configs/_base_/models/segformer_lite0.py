_base_ = './segformer_lite2.py'

# For small devices: half of the channels in the head, too.
model = dict(
    backbone=dict(model_name='tf_efficientnet_lite0', init_cfg=dict(variant='lite0')),
    decode_head=dict(in_channels=[24, 40, 112, 320], channels=64))
