_base_ = ['../_base_/setups/r101_r18_cityscapes.py', '../_base_/terms/cirkd_v2.py']
model = dict(terms=_base_.terms)
