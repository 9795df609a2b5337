_base_ = ['../_base_/setups/r101_r18_ade20k.py', '../_base_/terms/afdcd_ade20k.py']
model = dict(terms=_base_.terms)
