_base_ = '../_base_/setups/semi_lite0_camvid.py'

# Labeled images only, for as many iterations.
model = dict(_delete_=True, **_base_.model.student)
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(
        _delete_=True,
        type='LabeledPartDataset',
        labeled=_base_.train_dataloader.dataset.labeled,
        partition=_base_.train_dataloader.dataset.partition))
