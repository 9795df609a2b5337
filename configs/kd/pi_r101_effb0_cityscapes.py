_base_ = ['../_base_/setups/r101_effb0_cityscapes.py', '../_base_/terms/pi.py']

# arXiv 2309.03659; docs/papers.md has the differences from the paper.
_base_.terms.loss_pi.loss.temperature = 8.0
model = dict(terms=_base_.terms)
