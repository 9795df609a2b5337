_base_ = ['../_base_/setups/r101_r18_cityscapes.py', '../_base_/terms/ka.py']
model = dict(terms=_base_.terms)
optim_wrapper = _base_.critic_optim_wrapper
