_base_ = 'mmseg::_base_/datasets/pascal_voc12.py'

# Whole images, resized to 224x224; 1,464 training images.
crop_size = (224, 224)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomAffine', degrees=10.0, translate=0.1, scale=(0.9, 1.1), shear=5.0),
    dict(type='mmpretrain.ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1, backend='cv2'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='LoadAnnotations'),  # after `Resize`, so that label maps keep their original size
    dict(type='PackSegInputs'),
]
# Number of images per step, over all GPUs, for which the learning rate was tuned.
auto_scale_lr = dict(enable=False, base_batch_size=16)
train_dataloader = dict(
    batch_size=16, sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
