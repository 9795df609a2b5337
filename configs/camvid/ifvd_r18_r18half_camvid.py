_base_ = ['../_base_/setups/r18_r18half_camvid.py', '../_base_/terms/ifvd.py']

_base_.terms.loss_pi.loss.temperature = 3.0
_base_.terms.loss_pi.weight = 1.0
model = dict(terms=_base_.terms)
