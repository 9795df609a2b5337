_base_ = ['../_base_/setups/r18_r18quarter_digits.py', '../_base_/terms/cwd.py']
model = dict(terms=_base_.terms)
