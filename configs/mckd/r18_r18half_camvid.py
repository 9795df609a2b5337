_base_ = '../camvid/r18half_camvid.py'

# Without a GPU, at 240x180. Train the teacher first: python tools/train.py configs/camvid/r18_camvid.py
train_cfg = dict(
    _delete_=True,
    type='MCKDLoop',
    num_stages=1,
    teacher=dict(config='mmseg_kd::camvid/r18_camvid.py', checkpoint='work_dirs/r18_camvid/iter_1200.pth'),
    train=dict(type='IterBasedTrainLoop', max_iters=600, val_interval=300),
    truth=_base_.train_dataloader.dataset)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        images='data/camvid/img_dir/train',
        pipeline=_base_.train_pipeline))
