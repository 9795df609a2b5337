"""Real trainings within the loop, of toy networks: early stopping, best checkpoints, soft labels, and being killed."""

import itertools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import HOOKS, METRICS, MODELS

from mmseg_kd.engine.loops.mckd_loop import MCKDLoop
from mmseg_kd.testing.toys import toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

COUNT = itertools.count()
# mIoU after each epoch, by training; with a patience of 2 they end after epoch 4, 5 (the last), and 3.
RESULTS = {
    'a': [10.0, 20.0, 19.0, 18.0, 30.0],
    'b': [10.0, 11.0, 12.0, 11.0, 14.0],
    'final': [50.0, 40.0, 45.0, 60.0, 70.0],
}
ENDS, BEST = dict(a=4, b=5, final=3), dict(a=2, b=5, final=1)


class Killed(Exception):
    pass


@pytest.fixture(autouse=True)
def script(monkeypatch):
    """A metric with scripted values, and a hook that kills one training at one moment; registered for a while."""
    now = dict(kill=None)

    class ScriptedMetric(BaseMetric):
        def process(self, data_batch, data_samples):
            self.results.append(0)

        def compute_metrics(self, results):
            return dict(mIoU=RESULTS[now['training']][now['epoch'] - 1])

    class ScriptHook(Hook):
        priority = 'VERY_LOW'

        def at(self, runner, moment):
            if now['kill'] == (Path(runner.work_dir).name, moment, runner.epoch):
                now['kill'] = None
                raise Killed

        def before_val_epoch(self, runner):
            now.update(training=Path(runner.work_dir).name, epoch=runner.epoch)
            self.at(runner, 'before validation')

        def after_val_epoch(self, runner, metrics=None):
            self.at(runner, 'after validation')

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.at(runner, 'in an epoch')

        def after_train(self, runner):
            self.at(runner, 'after training')

    for registry, kind in ((METRICS, ScriptedMetric), (HOOKS, ScriptHook)):
        monkeypatch.setitem(registry._module_dict, kind.__name__, kind)
    monkeypatch.setattr(MCKDLoop, 'rehearse_once', lambda loop: None)  # which has tests of its own
    return now


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_camvid_tree(folder, images=4, size=(32, 48))
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


def run(folder, work_dir, resume=False, **changes):
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    loader = dict(batch_size=2, num_workers=0)
    val = dict(
        loader,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='CamVidDataset',
            data_root=str(folder),
            data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
            pipeline=[*load, dict(type='PackSegInputs')],
        ),
    )
    config = dict(
        default_scope='mmseg',
        log_level='WARNING',
        experiment_name=f'mckd_{next(COUNT)}',
        work_dir=str(work_dir),
        resume=resume,
        model=dict(
            type='SoftLabelDistiller',
            student=toy_segmentor(num_classes=11, base_channels=4),
            terms=dict(
                loss_kl=dict(
                    student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=8.0), weight=0.1
                )
            ),
        ),
        train_dataloader=dict(
            loader,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(
                type='PseudoLabelDataset',
                images=str(folder / 'img_dir/train'),
                pipeline=[
                    *load,
                    dict(type='LoadSoftLabels'),
                    dict(type='RandomResize', scale=(48, 32), ratio_range=(1.0, 2.0), keep_ratio=True),
                    dict(type='RandomCrop', crop_size=(32, 32)),
                    dict(type='RandomFlip', prob=0.5),
                    dict(type='PhotoMetricDistortion'),
                    dict(type='PackSoftSegInputs', stride=8),
                ],
            ),
        ),
        val_dataloader=val,
        test_dataloader=val,
        val_evaluator=dict(type='ScriptedMetric'),
        test_evaluator=dict(type='ScriptedMetric'),
        val_cfg=dict(),
        test_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        param_scheduler=[dict(type='PolyLR', begin=0, end=5, by_epoch=True)],
        train_cfg=dict(
            type='MCKDLoop',
            teacher=dict(config=str(folder / 'teacher.py'), checkpoint=str(folder / 'teacher.pth')),
            train=dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=1),
            top_k=3,
        ),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='mIoU'),
        ),
        custom_hooks=[
            dict(type='ResumableEarlyStoppingHook', monitor='mIoU', min_delta=0.005, patience=2),
            dict(type='ScriptHook'),
        ],
        randomness=dict(seed=3),
    )
    config.update(changes)
    Runner.from_cfg(Config(config)).train()


def left(work_dir):
    """The last and the best weights of each training, the labels and the table."""
    paths = [
        path for path in work_dir.rglob('*') if path.suffix in ('.pth', '.png', '.npz') and 'student' not in path.parts
    ]
    weights = {
        str(path.relative_to(work_dir)): torch.load(path, weights_only=False)['state_dict']
        for path in paths
        if path.suffix == '.pth'
    }
    labels = {str(path.relative_to(work_dir)): path.read_bytes() for path in paths if path.suffix == '.png'}
    return weights, labels, (work_dir / 'mckd.md').read_text()


@pytest.fixture(scope='module')
def undisturbed(folder):
    return folder / 'undisturbed'


@pytest.fixture
def expected(folder, undisturbed):
    if not undisturbed.exists():
        run(folder, undisturbed)
    return left(undisturbed)


def test_every_training_stops_by_its_own_results_and_keeps_its_best_checkpoint_beside_its_last(expected, undisturbed):
    weights, labels, table = expected
    trainings = dict(a='stage_1/a', b='stage_1/b', final='final')
    assert set(weights) == {
        f'{trainings[name]}/{kind}_{epoch[name]}.pth'
        for name in trainings
        for kind, epoch in (('epoch', ENDS), ('best_mIoU_epoch', BEST))
    }
    for name, path in trainings.items():
        assert (undisturbed / path / 'last_checkpoint').read_text().endswith(f'epoch_{ENDS[name]}.pth')
        # Their mIoU is that of their last validation.
        assert f'{RESULTS[name][ENDS[name] - 1]:.2f}' in next(
            line for line in table.splitlines() if f' {path} ' in line
        )
    assert len(labels) == 9 and len(list(undisturbed.rglob('labels/**/*.npz'))) == 8


@pytest.mark.parametrize(
    'kill',
    [
        ('a', 'before validation', 4),
        *(
            pytest.param(kill, marks=pytest.mark.slow)
            for kill in (
                ('final', 'after training', 3),
                ('a', 'in an epoch', 2),
                ('a', 'after training', 4),
                ('b', 'after validation', 3),
                ('final', 'in an epoch', 1),
            )
        ),
    ],
)
def test_a_killed_run_stops_where_one_that_was_not_stops(folder, expected, script, tmp_path, kill):
    script['kill'] = kill
    with pytest.raises(Killed):
        run(folder, tmp_path)
    run(folder, tmp_path, resume=True)
    for found, whole in zip(left(tmp_path), expected):
        assert found == whole if isinstance(whole, str) else found.keys() == whole.keys()
    weights, labels, _ = left(tmp_path)
    assert labels == expected[1]
    assert all(
        torch.equal(value, expected[0][name][key]) for name, state in weights.items() for key, value in state.items()
    )


def test_without_validation_every_training_runs_to_its_end(folder, tmp_path):
    nothing = dict(val_dataloader=None, val_evaluator=None, val_cfg=None)
    checkpoint = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)
    run(
        folder,
        tmp_path,
        **nothing,
        default_hooks=dict(checkpoint=checkpoint, logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=[],
    )
    weights, labels, table = left(tmp_path)
    assert (
        sorted(weights) == ['final/epoch_5.pth', 'stage_1/a/epoch_5.pth', 'stage_1/b/epoch_5.pth'] and len(labels) == 9
    )
    assert 'agreement' not in table and 'stage_1/pair' not in table
