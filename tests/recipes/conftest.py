import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_kd.testing.toys import toy_segmentor

STUDENT = """
_base_ = 'mmseg::_base_/default_runtime.py'
model = {model}
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset',
        data_root={root!r},
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        img_suffix='.png',
        seg_map_suffix='.png',
        metainfo=dict(classes=('ground', 'road', 'sign'), palette=[[0, 0, 0], [128, 64, 128], [0, 0, 142]]),
        pipeline=pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=train_dataloader['dataset'])
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))
log_level = 'ERROR'
"""


@pytest.fixture(scope='module')
def own(tmp_path_factory):
    """A folder outside of any project: images of three classes, the config of a student, and a teacher with weights."""
    init_default_scope('mmseg')
    root = tmp_path_factory.mktemp('own')
    numbers = np.random.default_rng(0)
    for name in ('images', 'labels'):
        (root / name).mkdir()
    for index in range(4):
        labels = np.zeros((32, 32), np.uint8)
        labels[16:] = 1
        labels[:8, 4 * index : 4 * index + 12] = 2
        image = 80 * labels[..., None] + numbers.integers(0, 20, (32, 32, 3))
        cv2.imwrite(str(root / 'images' / f'{index}.png'), image.astype(np.uint8))
        cv2.imwrite(str(root / 'labels' / f'{index}.png'), labels)
    student = toy_segmentor(num_classes=3, auxiliary=False).to_dict()
    (root / 'student.py').write_text(STUDENT.format(model=repr(student), root=str(root)))
    for classes in (3, 5):
        teacher = toy_segmentor(base_channels=16, num_classes=classes, auxiliary=False).to_dict()
        (root / f'teacher{classes}.py').write_text(f'model = {teacher!r}\n')
        torch.manual_seed(classes)
        torch.save(dict(state_dict=MODELS.build(teacher).state_dict()), root / f'teacher{classes}.pth')
    return root
