_base_ = ['../_base_/setups/r101_r18_cityscapes.py', '../_base_/terms/dkd.py']
model = dict(terms=_base_.terms)
