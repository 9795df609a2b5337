import random

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from mmseg_kd.testing.toys import ToyDataset, toy_runner, toy_segmentor

HOOK = [dict(type='StepSeedHook')]
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


@pytest.mark.parametrize('hooks,same', [(HOOK, True), ([], False)])
def test_a_killed_and_resumed_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path, hooks, same):
    whole = train(tmp_path / 'whole', hooks)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / 'killed', [*hooks, Power(3)])
    assert (tmp_path / 'killed' / 'iter_2.pth').exists() and not (tmp_path / 'killed' / 'iter_4.pth').exists()
    random.seed(7)
    np.random.seed(7)
    # Dropout makes the difference: without the hook, the resumed run drops other features.
    assert equal(train(tmp_path / 'killed', hooks, resume=True), whole) == same


class Recorder(Hook):
    def __init__(self):
        self.drawn = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.drawn.append((random.random(), np.random.rand(), torch.rand(()).item()))


def test_steps_seeds_and_processes_draw_different_numbers(tmp_path, monkeypatch):
    def draw(name, seed=0):
        recorder = Recorder()
        hooks = [*HOOK, recorder]
        toy_runner(toy_segmentor(4), tmp_path / name, custom_hooks=hooks, randomness=dict(seed=seed)).train()
        return recorder.drawn

    runs = [draw('first'), draw('other', seed=1)]
    assert draw('again') == runs[0]
    monkeypatch.setattr('mmseg_kd.engine.hooks.step_seed_hook.get_rank', lambda: 1)
    runs.append(draw('second process'))
    steps = [step for run in runs for step in run]
    assert len(steps) == 12 and all(len(set(column)) == 12 for column in zip(*steps))


def test_a_resumed_run_without_a_seed_is_told_that_its_images_are_drawn_anew(tmp_path):
    recorded = []
    for resume in (False, True):
        runner = toy_runner(
            toy_segmentor(4),
            tmp_path,
            max_iters=2 + resume,
            custom_hooks=HOOK,
            resume=resume,
            randomness=dict(seed=None),
        )
        runner.logger.warning = recorded.append
        before = runner.seed
        runner.train()
        assert (
            any(
                f'had the seed {runner.seed}, but its images are now sampled with the seed {before}; set '
                f'randomness=dict(seed={runner.seed})' in text
                for text in recorded
            )
            == resume
        )
