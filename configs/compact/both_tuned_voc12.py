_base_ = ['../_base_/setups/fcn_r50_compact_voc12.py', '../_base_/terms/compact_tuned.py']
model = dict(terms=_base_.terms)
