_base_ = ['./effb0_cityscapes.py', '../_base_/models/effb0_scratch.py']

# Random initialization. Learning rate, weight decay and temperature are those of the pretrained student.
model = dict(backbone=dict(init_cfg=_base_.scratch))
