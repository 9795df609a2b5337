_base_ = '../../demo/student.py'

# 300 of the 3,000 scenes, so that augmentation matters. The teacher has learned from all of them.
train_dataloader = dict(
    dataset=dict(
        indices=300,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomResize', scale=(64, 64), ratio_range=(0.8, 1.25), keep_ratio=True),
            dict(type='RandomCrop', crop_size=(64, 64)),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs'),
        ]))
