_base_ = ['../_base_/setups/r101_effb0_voc12aug.py', '../_base_/terms/ifvd.py']

# Best weight on Cityscapes; none is known for this data set.
_base_.terms.loss_ifv.weight = 1e-3
model = dict(terms=_base_.terms)
