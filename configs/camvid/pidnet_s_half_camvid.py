_base_ = [
    '../_base_/models/pidnet_s_half_scratch.py', '../_base_/datasets/camvid_crop192.py',
    '../_base_/schedules/adamw_2400.py', '../_base_/default_runtime.py'
]
_base_.train_pipeline.insert(-1, dict(type='GenerateEdge', edge_width=4))
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
# At least 7 % of the pixels of a batch.
hard = dict(type='OhemCrossEntropy', thres=0.9, min_kept=20000, class_weight=_base_.class_weight, loss_weight=1.0)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        num_classes=11,
        loss_decode=[
            dict(type='CrossEntropyLoss', class_weight=_base_.class_weight, loss_weight=0.4), hard,
            dict(type='BoundaryLoss', loss_weight=20.0), hard
        ]))
