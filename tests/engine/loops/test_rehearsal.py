"""What would end an MCKD training ends the run before its first label."""

import itertools
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmseg_kd.engine.loops.rehearsal import StandIn, write_stand_in
from mmseg_kd.labeling import find_images, read_summary
from mmseg_kd.testing.toys import toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

COUNT = itertools.count()
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
ZERO = [LOAD[0], dict(type='LoadAnnotations', reduce_zero_label=True), dict(type='PackSegInputs')]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Six images to label, and a teacher with random weights."""
    folder = tmp_path_factory.mktemp('data')
    write_camvid_tree(folder, images=6, size=(32, 48))
    torch.manual_seed(0)
    init_default_scope('mmseg')
    teacher = toy_segmentor(num_classes=11)
    torch.save(dict(state_dict=MODELS.build(teacher).state_dict()), folder / 'teacher.pth')
    (folder / 'teacher.py').write_text(
        f'model = {teacher.to_dict()!r}\ntest_dataloader = dict(dataset=dict('
        "type='CamVidDataset', pipeline=[dict(type='LoadImageFromFile'), "
        "dict(type='PackSegInputs')]))"
    )
    return folder


def loop(
    folder,
    work_dir,
    pipeline=None,
    batch=3,
    hooks=(),
    metric=None,
    train=None,
    checkpoint=None,
    sampler='DefaultSampler',
    **settings,
):
    val = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='CamVidDataset',
            data_root=str(folder),
            data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
            pipeline=[*LOAD, dict(type='PackSegInputs')],
        ),
    )
    config = dict(
        default_scope='mmseg',
        log_level='WARNING',
        experiment_name=f'rehearsal_{next(COUNT)}',
        work_dir=str(work_dir),
        model=toy_segmentor(num_classes=11, base_channels=4),
        train_dataloader=dict(
            batch_size=batch,
            num_workers=0,
            sampler=dict(type=sampler, shuffle=True),
            dataset=dict(
                type='PseudoLabelDataset',
                images=str(folder / 'img_dir/train'),
                pipeline=pipeline or [*LOAD, dict(type='Resize', scale=(32, 32)), dict(type='PackSegInputs')],
            ),
        ),
        val_dataloader=val,
        test_dataloader=val,
        val_cfg=dict(),
        test_cfg=dict(),
        val_evaluator=metric or dict(type='IoUMetric'),
        test_evaluator=dict(type='IoUMetric'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        train_cfg=dict(
            dict(
                type='MCKDLoop',
                train=train or dict(type='EpochBasedTrainLoop', max_epochs=2),
                teacher=dict(config=str(folder / 'teacher.py'), checkpoint=str(folder / 'teacher.pth')),
            ),
            **settings,
        ),
        default_hooks=dict(checkpoint=dict(dict(type='CheckpointHook', interval=1), **(checkpoint or {}))),
        custom_hooks=list(hooks),
        randomness=dict(seed=3),
    )
    return Runner.from_cfg(Config(config)).train_loop


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(pipeline=ZERO), 'a training of MCKDLoop would fail: .*reduce_zero_label'),
        (
            dict(pipeline=[*LOAD, dict(type='NoSuchTransform'), dict(type='PackSegInputs')]),
            "pipeline.2.type: 'NoSuchTransform' is not registered",
        ),
        (dict(batch=2), 'decode_head.psp_modules.0.1.bn has one value .* the last batch of 3 images has 1'),
        (dict(batch=1), 'train_dataloader.batch_size is 1; set 2 or more'),
        (dict(hooks=[dict(type='MeanTeacherHook')]), 'would fail: .*MeanTeacherHook needs a MeanTeacher'),
        (
            dict(hooks=[dict(type='EarlyStoppingHook', monitor='mDice')]),
            "custom_hooks.0.monitor is 'mDice', but validation reports",
        ),
        (
            dict(sampler='InfiniteSampler'),
            'InfiniteSampler, which never ends, so an epoch .train_cfg.train.max_epochs is 2',
        ),
        (
            dict(train=dict(type='EpochBasedTrainLoop', max_epochs=2, max_iters=3)),
            'max_iters: EpochBasedTrainLoop has no argument max_iters',
        ),
        (
            dict(checkpoint=dict(interval=3, save_last=False)),
            'default_hooks.checkpoint saves nothing: interval is 3, train_cfg.train.max_epochs is 2',
        ),
        (dict(group='^(no such id)'), 'train_cfg.group .* must match every id'),
        (dict(top_k=12), r'top_k must be in 0..11'),
        (dict(tta=True), 'must have a tta_pipeline'),
        (dict(truth='val'), 'train_cfg.truth must have all images of'),
    ],
)
def test_what_a_training_would_die_of_is_said_before_the_first_label(folder, tmp_path, changes, message):
    if 'truth' in changes:
        changes = dict(
            truth=dict(
                type='CamVidDataset',
                data_root=str(folder),
                pipeline=LOAD,
                data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
            )
        )
    with pytest.raises(ValueError, match=message):
        loop(folder, tmp_path, **changes).run()
    assert not (tmp_path / 'labels').exists() and not (tmp_path / 'rehearsal').exists()
    assert not (tmp_path / 'mckd.json').exists()  # so that the mended config may have this folder


def test_a_healthy_training_is_tried_whole_and_leaves_nothing(folder, tmp_path):
    made = loop(
        folder, tmp_path, hooks=[dict(type='ExportStudentHook')], checkpoint=dict(save_best='mIoU'), num_stages=2
    )
    seen = []
    made.labels.write = lambda name, *_: seen.append(name) or 1 / 0
    before = set(tmp_path.rglob('*'))
    with pytest.raises(ZeroDivisionError):
        made.run()
    assert seen == ['labels/teacher'] and set(tmp_path.rglob('*')) == before


def test_labels_that_stand_in_have_all_classes_and_list_all_images(folder, tmp_path):
    images = str(folder / 'img_dir/train')
    files = {file.rpartition('.')[0]: file for file in find_images(images)}
    names = [f'class {number}' for number in range(4)]
    shown = write_stand_in(str(tmp_path), files, images, names, None, 2, 2)
    summary = read_summary(str(tmp_path))
    assert list(summary['images']) == list(files) and summary['top_k'] == 2 and shown == sorted(files)[:2]
    assert all(entry['image'] == files[name] for name, entry in summary['images'].items())
    assert sorted(path.stem for path in tmp_path.rglob('*.png')) == [name.rpartition('/')[2] for name in shown]
    assert json.loads((tmp_path / 'labels.json').read_text())['classes'] == names
    probabilities = StandIn(4)(f'{images}/{files[shown[0]]}')
    assert probabilities.shape == (4, 32, 48) and (probabilities.sum(0) == 1).all()
    assert probabilities.argmax(0)[0].tolist() == [0] * 12 + [1] * 12 + [2] * 12 + [3] * 12
