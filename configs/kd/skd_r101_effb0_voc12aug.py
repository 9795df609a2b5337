_base_ = ['../_base_/setups/r101_effb0_voc12aug.py', '../_base_/terms/skd.py']

# Best weight on Cityscapes; none is known for this data set.
_base_.terms.loss_pa.weight = 1e-2
_base_.terms.loss_ho.weight = 1e-4
model = dict(terms=_base_.terms)
optim_wrapper = _base_.critic_optim_wrapper
