_base_ = [
    '../_base_/models/stdc1.py', '../_base_/datasets/ade20k_512.py', '../_base_/schedules/sgd_160k.py',
    '../_base_/default_runtime.py'
]
# MMSegmentation has this network on Cityscapes only: here with its usual data and schedule of ADE20K.
_base_.model.auxiliary_head[0].num_classes = 150
_base_.model.auxiliary_head[1].num_classes = 150
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=150))
