_base_ = 'mmseg::_base_/datasets/cityscapes.py'

# As in cross pseudo supervision (arXiv 2106.01226); its windows in tests are `test_cfg` of the model.
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

# The learning rate was found with this many labeled images a step, over all GPUs.
auto_scale_lr = dict(enable=False, base_batch_size=8)
# As published, a step has 8 labeled images in all, and 8 + 8 unlabeled ones, which CutMix makes 8 of: one
# GPU has them all (batch_size 8), of n GPUs each has 8 / n.
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
