_base_ = ['../_base_/setups/r101_effb0_cityscapes.py', '../_base_/terms/pi_ho.py']

# Best weight for this student.
_base_.terms.loss_pi.loss.temperature = 8.0
_base_.terms.loss_ho.weight = 1e-4
model = dict(terms=_base_.terms)
optim_wrapper = _base_.critic_optim_wrapper
