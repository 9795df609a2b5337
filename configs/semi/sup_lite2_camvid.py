_base_ = './sup_lite0_camvid.py'

# A teacher that is deeper and wider than the student.
model = dict(
    backbone=dict(model_name='tf_efficientnet_lite2', init_cfg=dict(variant='lite2')),
    decode_head=dict(in_channels=[24, 48, 120, 352], channels=128))
