_base_ = ['../models/deeplabv3plus_swint_frozen.py', '../datasets/cityscapes.py', '../schedules/adamw_20e.py']

# Images at half size. The published size is unknown, but smaller than the teacher's.
truth = _base_.train_dataloader.dataset
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='LoadSoftLabels'),
    dict(type='RandomResize', scale=(1024, 512), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=_base_.crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSoftSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1024, 512), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        _delete_=True, type='PseudoLabelDataset', images='data/cityscapes/leftImg8bit/train', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 19
model = dict(_delete_=True, type='SoftLabelDistiller', student=_base_.model)
train_cfg = dict(
    _delete_=True,
    type='MCKDLoop',
    num_stages=1,
    teacher=dict(config='mmseg_kd::teachers/oneformer_swinl_cityscapes.py'),
    train=_base_.train_cfg,
    group='^([^_]+)_',  # a city stays in one half
    top_k=19,  # all classes; at most 46 GB of soft labels
    truth=truth)
