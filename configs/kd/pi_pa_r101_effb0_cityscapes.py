_base_ = ['../_base_/setups/r101_effb0_cityscapes.py', '../_base_/terms/pi_pa.py']

# Best weight for this student.
_base_.terms.loss_pi.loss.temperature = 8.0
_base_.terms.loss_pa.weight = 1e-2
model = dict(terms=_base_.terms)
