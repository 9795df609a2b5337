_base_ = ['../_base_/setups/r101_r18_ade20k.py', '../_base_/terms/pi.py']

# Random initialization. Learning rate, weight decay and temperature are those of the pretrained student.
model = dict(student=dict(pretrained=None), terms=_base_.terms)
