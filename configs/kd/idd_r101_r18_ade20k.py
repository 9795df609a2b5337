_base_ = ['../_base_/setups/r101_r18_ade20k.py', '../_base_/terms/idd.py']
model = dict(terms=_base_.terms)
optim_wrapper = _base_.critic_optim_wrapper
