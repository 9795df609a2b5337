_base_ = ['../_base_/setups/r101_r18_cityscapes.py', '../_base_/terms/pi.py']

# arXiv 2309.03659; what differs from the paper: docs/papers.md.
_base_.terms.loss_pi.loss.temperature = 3.0
model = dict(terms=_base_.terms)
