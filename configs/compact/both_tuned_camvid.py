_base_ = ['../_base_/setups/lite2_compact_camvid.py', '../_base_/terms/compact_tuned.py']
model = dict(terms=_base_.terms)
