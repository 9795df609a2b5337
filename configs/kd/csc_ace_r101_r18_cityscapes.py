_base_ = ['../_base_/tasks/r101_r18_cityscapes.py', '../_base_/terms/csc_ace.py']
model = dict(student=dict(decode_head=dict(loss_decode=dict(loss_weight=0.0))), terms=_base_.terms)
