_base_ = ['../_base_/setups/r101_effb0_voc12.py', '../_base_/terms/pi.py']

# arXiv 2309.03659; docs/papers.md has the differences from the paper.
model = dict(terms=_base_.terms)
