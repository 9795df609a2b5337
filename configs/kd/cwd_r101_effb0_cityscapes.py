_base_ = ['../_base_/setups/r101_effb0_cityscapes.py', '../_base_/terms/cwd.py']
model = dict(terms=_base_.terms)
