_base_ = ['../_base_/setups/r101_r18_cityscapes.py', '../_base_/terms/csc_ace.py']
model = dict(student=_base_.student, terms=_base_.terms)
