_base_ = [
    '../_base_/models/segformer_lite0.py', '../_base_/datasets/camvid_crop192.py',
    '../_base_/schedules/adamw_1200_pretrained.py', '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=11, loss_decode=dict(class_weight=_base_.class_weight)))
