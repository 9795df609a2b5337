_base_ = ['../_base_/setups/lite2_compact_camvid.py', '../_base_/terms/compact_tuned.py']
model = dict(terms=dict(loss_feature=_base_.terms.loss_feature))
