_base_ = '../camvid/psp_r18_camvid.py'

# One GPU for an evening. Train the teacher first: python tools/train.py configs/camvid/psp_r50_camvid.py
train_cfg = dict(
    _delete_=True,
    type='MCKDLoop',
    num_stages=1,
    teacher=dict(config='mmseg_kd::camvid/psp_r50_camvid.py', checkpoint='work_dirs/psp_r50_camvid/iter_8000.pth'),
    train=dict(type='IterBasedTrainLoop', max_iters=8000, val_interval=800),
    truth=_base_.train_dataloader.dataset)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        images='data/camvid/img_dir/train',
        pipeline=_base_.train_pipeline))
