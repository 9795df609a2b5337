_base_ = ['../_base_/setups/segformer_b5_mobilenetv4_s_cityscapes.py', '../_base_/terms/pi.py']
model = dict(terms=_base_.terms)
