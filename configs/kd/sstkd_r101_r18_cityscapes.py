_base_ = ['../_base_/tasks/r101_r18_cityscapes.py', '../_base_/terms/sstkd.py', '../_base_/schedules/critic.py']
model = dict(terms=_base_.terms)
optim_wrapper = _base_.critic_optim_wrapper
