_base_ = ['../_base_/setups/mckd_swint_cityscapes.py', '../_base_/terms/soft_labels.py']
model = dict(terms=_base_.terms)
