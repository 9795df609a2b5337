_base_ = ['../_base_/setups/r101_r18_voc12.py', '../_base_/terms/pi.py']

# arXiv 2309.03659; what differs from the paper: docs/papers.md.
model = dict(terms=_base_.terms)
