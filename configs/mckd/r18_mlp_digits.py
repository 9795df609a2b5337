_base_ = '../demo/student.py'

# The scenes of `make demo`, which also trains the teacher. Their true labels are only used to measure the networks'
# labels.
train_cfg = dict(
    _delete_=True,
    type='MCKDLoop',
    num_stages=1,
    teacher=dict(config='mmseg_kd::demo/teacher.py', checkpoint='work_dirs/demo/teacher/iter_800.pth'),
    train=dict(type='IterBasedTrainLoop', max_iters=800, val_interval=400),
    truth=_base_.train_dataloader.dataset)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        images='data/digit_scenes/img_dir/train',
        pipeline=_base_.load))
