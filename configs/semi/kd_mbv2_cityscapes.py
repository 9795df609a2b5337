_base_ = ['./kd_r18_cityscapes.py', '../_base_/models/mbv2_for_r18.py']

model = dict(student=_base_.mbv2)
