_base_ = './camvid_240x180.py'

# Smaller crops than with all labels, because a step has three times as many images.
crop_size = (128, 128)
augment = [
    dict(type='RandomResize', scale=(240, 180), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), *augment]
unlabeled_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadBlankAnnotations'), *augment]

# 46 of the 367 training images have labels.
train_dataloader = dict(
    batch_size=4,
    sampler=dict(_delete_=True, type='StreamSampler'),
    dataset=dict(
        _delete_=True,
        type='SemiSupervisedDataset',
        labeled=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline),
        partition=dict(fraction=1 / 8, seed=0),
        unlabeled_pipelines=[unlabeled_pipeline, unlabeled_pipeline]))
