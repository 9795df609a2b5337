_base_ = './sup_lite0_camvid.py'

# A teacher that is deeper than the student, with a wider head.
model = dict(
    backbone=dict(model_name='tf_efficientnet_lite1', init_cfg=dict(variant='lite1')), decode_head=dict(channels=128))
