_base_ = 'mmseg::_base_/datasets/cityscapes.py'

# As in cross pseudo supervision (arXiv 2106.01226). The model's `test_cfg` has its sliding windows.
crop_size = (800, 800)
augment = [
    dict(
        type='RandomChoice',
        transforms=[[dict(type='Resize', scale_factor=s, keep_ratio=True)] for s in (0.5, 0.75, 1.0, 1.5, 1.75, 2.0)]),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), *augment]
unlabeled_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadBlankAnnotations'), *augment]

# Number of labeled images per step, over all GPUs, for which the learning rate was tuned.
auto_scale_lr = dict(enable=False, base_batch_size=8)
# As published, a step has 8 labeled images and 8 + 8 unlabeled ones, which CutMix mixes to 8, over all GPUs: on n GPUs,
# batch_size is 8 / n.
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    sampler=dict(_delete_=True, type='StreamSampler'),
    dataset=dict(
        _delete_=True,
        type='SemiSupervisedDataset',
        labeled=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline),
        partition='cityscapes/1_8',
        unlabeled_pipelines=[unlabeled_pipeline, unlabeled_pipeline]))
