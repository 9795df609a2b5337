_base_ = [
    '../_base_/models/segnext_t.py', '../_base_/datasets/camvid_class_weight.py',
    '../_base_/schedules/adamw_2k_pretrained.py', '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=11, loss_decode=dict(class_weight=_base_.class_weight)))
