_base_ = ['../_base_/tasks/r18_r18half_camvid.py', '../_base_/terms/csc_ace.py']
model = dict(student=dict(decode_head=dict(loss_decode=dict(loss_weight=0.0))), terms=_base_.terms)
