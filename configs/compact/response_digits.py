_base_ = ['../_base_/setups/r18_compact_digits.py', '../_base_/terms/compact.py']
model = dict(terms=dict(loss_response=_base_.terms.loss_response))
