import random

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from mmseg_kd.testing.toys import ToyDataset, toy_runner, toy_segmentor

# Validation at the iteration of a checkpoint, as usual; its data loader draws from torch's generator.
VALIDATION = dict(
    val_dataloader=dict(
        dataset=ToyDataset(2),
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    ),
    val_cfg=dict(type='ValLoop'),
    val_evaluator=dict(type='IoUMetric'),
)


class Power(Hook):
    """Fails in the middle of a step."""

    priority = 'LOWEST'

    def __init__(self, until):
        self.until = until

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == self.until:
            raise KeyboardInterrupt


def train(folder, hooks, **settings):
    runner = toy_runner(
        toy_segmentor(4, num_classes=4),
        folder,
        train_cfg=dict(by_epoch=False, max_iters=5, val_interval=2),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False)),
        custom_hooks=hooks,
        **{**VALIDATION, **settings},
    )
    runner.train()
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_killed_and_resumed_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path):
    whole = train(tmp_path / 'whole', [])
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / 'killed', [Power(3)])
    assert (tmp_path / 'killed' / 'iter_2.pth').exists() and not (tmp_path / 'killed' / 'iter_4.pth').exists()
    random.seed(7)
    np.random.seed(7)
    # Dropout makes the difference: without the hook, which every training gets, the resumed run drops other features.
    assert equal(train(tmp_path / 'killed', [], resume=True), whole)


class Recorder(Hook):
    def __init__(self):
        self.drawn = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.drawn.append((random.random(), np.random.rand(), torch.rand(()).item()))


def test_steps_seeds_and_processes_draw_different_numbers(tmp_path, monkeypatch):
    def draw(name, seed=0):
        recorder = Recorder()
        toy_runner(toy_segmentor(4), tmp_path / name, custom_hooks=[recorder], randomness=dict(seed=seed)).train()
        return recorder.drawn

    runs = [draw('first'), draw('other', seed=1)]
    assert draw('again') == runs[0]
    monkeypatch.setattr('mmseg_kd.engine.hooks.step_seed_hook.get_rank', lambda: 1)
    runs.append(draw('second process'))
    steps = [step for run in runs for step in run]
    assert len(steps) == 12 and all(len(set(column)) == 12 for column in zip(*steps))
