_base_ = ['../_base_/setups/r18_r18half_camvid.py', '../_base_/terms/dist.py']
model = dict(terms=_base_.terms)
