_base_ = [
    '../_base_/models/segformer_lite0.py', '../_base_/datasets/camvid_9_labels.py',
    '../_base_/schedules/adamw_1200_pretrained.py', '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        num_classes=11,
        # Those of `camvid_class_weight.py`.
        loss_decode=dict(class_weight=[0.53, 0.45, 2.19, 0.39, 1.0, 0.65, 1.96, 1.41, 0.89, 2.53, 2.97])))
