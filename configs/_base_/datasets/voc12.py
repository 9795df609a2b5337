_base_ = 'mmseg::_base_/datasets/pascal_voc12.py'

# The 1,464 training images of VOC 2012; `voc12aug.py` has 10,582.
crop_size = (473, 473)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
# Number of images per step, over all GPUs, for which the learning rate was tuned.
auto_scale_lr = dict(enable=False, base_batch_size=8)
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
