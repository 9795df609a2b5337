_base_ = [
    '../_base_/models/pspnet_r101.py', '../_base_/datasets/voc12.py', '../_base_/schedules/sgd_80k.py',
    '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=21),
    auxiliary_head=dict(num_classes=21))
