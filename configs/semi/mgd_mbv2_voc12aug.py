_base_ = ['./mgd_r18_voc12aug.py', '../_base_/models/mbv2_for_r18.py']

model = dict(student=_base_.mbv2)
