_base_ = ['../_base_/tasks/r18_compact_digits.py', '../_base_/terms/compact.py']
model = dict(terms=_base_.terms)
