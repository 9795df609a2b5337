_base_ = [
    '../_base_/models/mobilenetv3_lraspp.py', '../_base_/datasets/ade20k_512.py', '../_base_/schedules/sgd_160k.py',
    '../_base_/default_runtime.py'
]
# MMSegmentation has this network on Cityscapes only: here with its usual data and schedule of ADE20K.
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=150))
