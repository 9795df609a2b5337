_base_ = './coco133.py'

# 70 % of a tenth of the images without labels, as published. The list is written once, by
# python -c "from mmseg_kd.datasets import write_split; write_split('data/coco/test2017', 'data/coco/mckd', 0.1)"
# Published results are on another part of that tenth, with the teacher's labels for truth; here validation has true labels.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='LoadSoftLabels'),
    dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=_base_.crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSoftSegInputs'),
]
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        images='data/coco/test2017',
        ids='data/coco/mckd/train.txt',
        pipeline=train_pipeline))

val_evaluator = dict(iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
