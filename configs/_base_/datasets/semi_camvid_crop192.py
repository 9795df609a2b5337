_base_ = './camvid_crop192.py'

# The full resolution, for pretrained networks: with fewer pixels, 46 labels are as good as all 367.
unlabeled_pipeline = [
    dict(type='LoadBlankAnnotations') if step.type == 'LoadAnnotations' else step for step in _base_.train_pipeline
]
auto_scale_lr = dict(base_batch_size=4)
train_dataloader = dict(
    batch_size=4,
    sampler=dict(_delete_=True, type='StreamSampler'),
    dataset=dict(
        _delete_=True,
        type='SemiSupervisedDataset',
        labeled=_base_.train_dataloader.dataset,
        partition=dict(fraction=1 / 8, seed=0),
        unlabeled_pipelines=[unlabeled_pipeline, unlabeled_pipeline]))
