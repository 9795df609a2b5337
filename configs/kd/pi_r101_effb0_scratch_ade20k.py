_base_ = ['../_base_/setups/r101_effb0_ade20k.py', '../_base_/terms/pi.py', '../_base_/models/effb0_scratch.py']

# Random initialization. Learning rate, weight decay and temperature are those of the pretrained student.
model = dict(student=dict(backbone=dict(init_cfg=_base_.scratch)), terms=_base_.terms)
