_base_ = ['../_base_/setups/eomt_l_pidnet_s_cityscapes.py', '../_base_/terms/pi.py']
model = dict(terms=_base_.terms)
