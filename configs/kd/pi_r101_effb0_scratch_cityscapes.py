_base_ = ['../_base_/setups/r101_effb0_cityscapes.py', '../_base_/terms/pi.py', '../_base_/models/effb0_scratch.py']

# Random initialization. Learning rate, weight decay and temperature are those of the pretrained student.
_base_.terms.loss_pi.loss.temperature = 8.0
model = dict(student=dict(backbone=dict(init_cfg=_base_.scratch)), terms=_base_.terms)
