_base_ = ['../_base_/setups/oneformer_swinl_segformer_b0_ade20k.py', '../_base_/terms/pi.py']
model = dict(terms=_base_.terms)
