_base_ = './segformer_lite2.py'

model = dict(
    backbone=dict(model_name='tf_efficientnet_lite1', init_cfg=dict(variant='lite1')),
    decode_head=dict(in_channels=[24, 40, 112, 320]))
