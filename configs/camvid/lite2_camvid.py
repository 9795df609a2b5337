_base_ = [
    '../_base_/models/segformer_lite2.py', '../_base_/datasets/camvid.py',
    '../_base_/schedules/adamw_2k_pretrained.py', '../_base_/default_runtime.py'
]
# The square root of (median frequency / frequency) of each class in the training set. Rare classes count more; without
# the root, IoU is lower.
class_weight = [0.53, 0.45, 2.19, 0.39, 1.0, 0.65, 1.96, 1.41, 0.89, 2.53, 2.97]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=11, loss_decode=dict(class_weight=class_weight)))
