_base_ = ['../_base_/setups/r18_r18half_camvid.py', '../_base_/terms/sstkd.py']
model = dict(terms=_base_.terms)
optim_wrapper = _base_.critic_optim_wrapper
