_base_ = ['../_base_/setups/lite2_ddrnet_23_slim_half_camvid.py', '../_base_/terms/pi.py']

_base_.terms.loss_pi.loss.temperature = 3.0
_base_.terms.loss_pi.weight = 1.0
model = dict(terms=_base_.terms)
