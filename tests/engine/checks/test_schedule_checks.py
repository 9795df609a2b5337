"""Schedules beside the length of training."""

import pytest
from stock_trainings import POLY, found, refusal, warning

from mmseg_kd.engine.checks import Loop, check_schedules


def test_counting_epochs_where_training_counts_iterations_is_told():
    assert 'param_scheduler.0.by_epoch is True (the default)' in refusal(scheduler=[dict(type='PolyLR', end=1000)])
    assert found(scheduler=dict(type='PolyLR', end=10, by_epoch=True, convert_to_iter_based=True)) == ([], [])
    assert 'checkpoint.by_epoch is True' in warning(checkpoint=dict(by_epoch=True))
    # These are defaults of MMEngine, and true.
    assert [text.split(' is ')[0] for text in found(default_hooks=dict())[1]] == [
        'default_hooks.logger.log_metric_by_epoch',
        'default_hooks.checkpoint.by_epoch',
    ]


@pytest.mark.parametrize(
    'policy, words',
    [
        (dict(POLY, end=40000), 'ends at 40000, but train_cfg.max_iters is 1000: the learning rate is cut off'),
        (dict(type='PolyLR', by_epoch=False), 'has no end'),
        (dict(type='CosineAnnealingLR', T_max=2000, eta_min=0, by_epoch=False), 'ends at 2000'),
        (dict(POLY, end=500), 'the learning rate stays at its minimum after 500'),
        (dict(type='LinearLR', start_factor=0.1, end=1500, by_epoch=False), 'is a warm-up that ends at 1500'),
        (dict(type='LinearLR', start_factor=0.1, by_epoch=False), 'is a warm-up that has no end'),
        (dict(type='ConstantLR', factor=0.1, end=1000, by_epoch=False), 'all of training is warm-up'),
        (dict(POLY, begin=1000, end=2000), 'param_scheduler.begin is 1000'),
        (dict(type='MultiStepLR', milestones=[2000, 3000], by_epoch=False), 'milestones begin at 2000'),
    ],
)
def test_a_schedule_that_does_not_fit_the_length_of_training_is_told(policy, words):
    assert words in warning(scheduler=policy)


@pytest.mark.parametrize(
    'policy',
    [
        dict(POLY, end=500, eta_min=0),
        dict(type='CosineAnnealingLR', T_max=500, by_epoch=False),
        dict(type='LinearLR', start_factor=1.0, end_factor=0.0, end=500, by_epoch=False),
    ],
)
def test_half_a_training_at_a_learning_rate_of_zero_is_refused(policy):
    assert 'ends at 500 with a learning rate of 0, but train_cfg.max_iters is 1000' in refusal(scheduler=policy)


def test_a_schedule_that_raises_at_its_end_is_refused():
    restart = dict(type='CosineRestartLR', periods=[300, 300], restart_weights=[1, 1], eta_min=0, by_epoch=False)
    assert 'MMEngine would stop there with an error' in refusal(scheduler=restart)
    assert found(scheduler=dict(restart, periods=[300, 700])) == ([], [])
    assert 'set total_steps' in refusal(scheduler=dict(type='OneCycleLR', eta_max=0.1, total_steps=500, by_epoch=False))


def test_what_is_done_does_not_count_as_waste():
    loop = Loop('train_cfg', False, 1000, {})
    assert check_schedules(dict(POLY, eta_min=0, end=950), loop).refusals == []
    assert check_schedules(dict(POLY, eta_min=0, end=950), loop, start=900).refusals != []
