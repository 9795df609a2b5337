_base_ = ['../_base_/setups/r18_r18half_camvid.py', '../_base_/terms/csc_ace.py']
model = dict(student=_base_.student, terms=_base_.terms)
