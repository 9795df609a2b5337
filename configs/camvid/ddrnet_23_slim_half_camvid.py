_base_ = [
    '../_base_/models/ddrnet_23_slim_half_scratch.py', '../_base_/datasets/camvid_crop192.py',
    '../_base_/schedules/adamw_2400.py', '../_base_/default_runtime.py'
]
# At least 7 % of the pixels of a batch.
hard = dict(type='OhemCrossEntropy', thres=0.9, min_kept=20000, class_weight=_base_.class_weight)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        num_classes=11, loss_decode=[dict(hard, loss_weight=1.0), dict(hard, loss_weight=0.4)]))
