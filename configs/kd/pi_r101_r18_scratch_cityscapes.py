_base_ = ['../_base_/setups/r101_r18_cityscapes.py', '../_base_/terms/pi.py']

# Random initialization. Learning rate, weight decay and temperature are those of the pretrained student.
_base_.terms.loss_pi.loss.temperature = 3.0
model = dict(student=dict(pretrained=None), terms=_base_.terms)
