_base_ = '../_base_/tasks/semi_r18quarter_camvid.py'

# The labelled part alone, for as many iterations.
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(
        _delete_=True,
        type='LabeledPartDataset',
        labeled=_base_.train_dataloader.dataset.labeled,
        partition=_base_.train_dataloader.dataset.partition))
