_base_ = ['../_base_/setups/r101_r18_voc12aug.py', '../_base_/terms/pi.py']
model = dict(terms=_base_.terms)
