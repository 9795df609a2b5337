_base_ = [
    '../_base_/pairs/soft_labels_swint.py', '../_base_/datasets/mckd_cityscapes.py', '../_base_/schedules/adamw_20e.py'
]
model = dict(student=dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=19)))
train_cfg = dict(
    _delete_=True,
    type='MCKDLoop',
    num_stages=1,
    teacher=dict(config='mmseg_kd::teachers/oneformer_swinl_cityscapes.py'),
    train=_base_.train_cfg,
    group='^([^_]+)_',  # a city stays in one half
    top_k=19,  # all classes: the divergence is between whole outputs. At most 46 GB of soft labels.
    truth=_base_.truth)
