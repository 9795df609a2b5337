_base_ = ['../_base_/setups/r101_r18_voc12.py', '../_base_/terms/ifvd.py']
model = dict(terms=_base_.terms)
