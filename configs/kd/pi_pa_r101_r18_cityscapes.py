_base_ = ['../_base_/setups/r101_r18_cityscapes.py', '../_base_/terms/pi_pa.py']

# Best weight for this student.
_base_.terms.loss_pi.loss.temperature = 3.0
model = dict(terms=_base_.terms)
