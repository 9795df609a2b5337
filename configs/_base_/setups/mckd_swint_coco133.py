_base_ = ['../models/deeplabv3plus_swint_frozen.py', '../datasets/coco133.py', '../schedules/adamw_20e.py']

# As published: a tenth of the images without labels, split 70 / 20 / 10 % for training, validation and testing; the
# teacher's labels are the truth. The published lists are unknown. This command makes the lists:
# python tools/make_split.py data/coco/test2017 data/coco/mckd --fraction 0.1
# and this one the labels for validation and testing (docs/no_labels.md):
# python tools/pseudo_label.py configs/teachers/oneformer_swinl_coco133.py none data/coco/test2017 \
#     data/coco/mckd/labels --ids data/coco/mckd/val.txt data/coco/mckd/test.txt
images = 'data/coco/test2017'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='LoadSoftLabels'),
    dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=_base_.crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSoftSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
judged = dict(type='PseudoLabelDataset', images=images, labels='data/coco/mckd/labels', pipeline=test_pipeline)
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        images=images,
        ids='data/coco/mckd/train.txt',
        pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(_delete_=True, **judged, ids='data/coco/mckd/val.txt'))
test_dataloader = dict(dataset=dict(_delete_=True, **judged, ids='data/coco/mckd/test.txt'))

val_evaluator = dict(iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator

_base_.model.data_preprocessor.size = _base_.crop_size
_base_.model.decode_head.num_classes = 133
model = dict(_delete_=True, type='SoftLabelDistiller', student=_base_.model)
train_cfg = dict(
    _delete_=True,
    type='MCKDLoop',
    num_stages=1,
    teacher=dict(config='mmseg_kd::teachers/oneformer_swinl_coco133.py'),
    train=_base_.train_cfg,
    # Of 133 classes; the others share the rest equally. At most 21 GB of soft labels; 133 classes take 44 GB.
    top_k=64)
