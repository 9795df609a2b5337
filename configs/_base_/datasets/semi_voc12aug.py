_base_ = 'mmseg::_base_/datasets/pascal_voc12_aug.py'

# As in cross pseudo supervision (arXiv 2106.01226): the same scales, no color jitter, and tests on whole images.
crop_size = (512, 512)
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
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
dataset_train = dict(_base_.dataset_train, pipeline=train_pipeline)
dataset_aug = dict(_base_.dataset_aug, pipeline=train_pipeline)
labeled = dict(type='ConcatDataset', datasets=[dataset_train, dataset_aug])

# Number of labeled images per step, over all GPUs, for which the learning rate was tuned.
auto_scale_lr = dict(enable=False, base_batch_size=8)
# As published, a step has 8 labeled images and 8 + 8 unlabeled ones, which CutMix mixes to 8, over all GPUs: on n GPUs,
# batch_size is 8 / n.
train_dataloader = dict(
    batch_size=8,
    sampler=dict(_delete_=True, type='StreamSampler'),
    dataset=dict(
        _delete_=True,
        type='SemiSupervisedDataset',
        labeled=labeled,
        partition='voc12aug/1_8',
        unlabeled_pipelines=[unlabeled_pipeline, unlabeled_pipeline]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
