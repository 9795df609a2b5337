_base_ = ['../_base_/setups/eomt_l_segformer_b0_ade20k.py', '../_base_/terms/pi.py']
model = dict(terms=_base_.terms)
