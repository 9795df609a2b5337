"""Early stopping and plateau schedule of a run that was killed and resumed, against the same run undisturbed."""

import itertools

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

RESULTS = [10.0, 20.0, 19.0, 18.0, 17.0, 24.0, 24.0, 23.0, 22.0, 21.0, 30.0, 40.0]
# By hand: patience 2 of the plateau divides after the third bad result in a row; patience 4 stops at the fourth.
RATES = [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
WAITED = [0, 0, 1, 2, 3, 0, 1, 2, 3, 4]
STEPS = 3
COUNT = itertools.count()
OURS = [
    dict(type='ResumableEarlyStoppingHook', monitor='mIoU', min_delta=0.005, patience=4),
    dict(type='ValidateOnResumeHook'),
]
PLAIN = [dict(type='EarlyStoppingHook', monitor='mIoU', min_delta=0.005, patience=4)]


class Counter(BaseModel):
    """Predicts how many steps it has made, which its weights remember."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            self.steps += 1
            return dict(loss=self.weight.square().sum())
        return [int(self.steps)]


class Scripted(BaseMetric):
    """The next result of the script, by the steps of the network."""

    def process(self, data_batch, data_samples):
        self.results.append(data_samples[0])

    def compute_metrics(self, results):
        assert results[0] % STEPS == 0
        return dict(mIoU=RESULTS[results[0] // STEPS - 1])


class Killed(Exception):
    pass


class Kill(Hook):
    """Ends the process at one moment of one period, and notes what the schedules said after each validation."""

    priority = 'LOWEST'

    def __init__(self, period=None, moment=None):
        self.period, self.moment = period, moment
        self.rates, self.waited = {}, {}

    def at(self, runner, moment, period):
        if (self.period, self.moment) == (period, moment):
            raise Killed

    def before_val(self, runner):
        self.at(runner, 'before validation', runner.iter // STEPS)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.at(runner, 'in validation', runner.iter // STEPS)

    def after_val_epoch(self, runner, metrics=None):
        period = runner.iter // STEPS
        assert period not in self.rates
        self.rates[period] = runner.optim_wrapper.get_lr()['lr'][0]
        self.waited[period] = next(h for h in runner.hooks if hasattr(h, 'wait_count')).wait_count
        self.at(runner, 'after validation', period)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter % STEPS == 1:
            self.at(runner, 'in the next period', runner.iter // STEPS)


def train(work_dir, kill, hooks, by_epoch=True, resume=False):
    data = [dict(inputs=torch.zeros(1))] * STEPS
    length = (
        dict(max_epochs=len(RESULTS), val_interval=1)
        if by_epoch
        else dict(max_iters=STEPS * len(RESULTS), val_interval=STEPS)
    )
    plateau = dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater', factor=0.5, patience=2)
    runner = Runner(
        model=Counter(),
        work_dir=str(work_dir),
        default_scope='mmseg',
        log_level='WARNING',
        train_dataloader=dict(
            dataset=data,
            batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler' if by_epoch else 'InfiniteSampler', shuffle=False),
        ),
        val_dataloader=dict(
            dataset=data[:1], batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False)
        ),
        val_cfg=dict(),
        val_evaluator=[Scripted()],
        train_cfg=dict(by_epoch=by_epoch, **length),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
        param_scheduler=[plateau] if by_epoch else None,
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=100),
            checkpoint=dict(
                type='CheckpointHook',
                by_epoch=by_epoch,
                interval=1 if by_epoch else STEPS,
                save_best='mIoU',
                max_keep_ckpts=1,
            ),
        ),
        custom_hooks=[*hooks, kill],
        log_processor=dict(by_epoch=by_epoch),
        randomness=dict(seed=0),
        resume=resume,
        experiment_name=f'early_{next(COUNT)}',
    )
    try:
        runner.train()
    except Killed:
        pass
    return runner


def resumed(tmp_path, period, moment, hooks, by_epoch=True):
    """What was noted by the process that was killed and by the one that went on from its last checkpoint."""
    first, second = Kill(period, moment), Kill()
    train(tmp_path, first, hooks, by_epoch)
    runner = train(tmp_path, second, hooks, by_epoch, resume=True)
    return {**first.rates, **second.rates}, {**first.waited, **second.waited}, runner


def test_an_undisturbed_run_decides_as_computed_by_hand(tmp_path):
    kill = Kill()
    runner = train(tmp_path, kill, OURS)
    assert list(kill.rates.values()) == RATES and list(kill.waited.values()) == WAITED
    assert runner.epoch == 10 and runner.message_hub.get_info('best_score') == 24.0


@pytest.mark.parametrize('moment', ['before validation', 'in validation', 'after validation', 'in the next period'])
@pytest.mark.parametrize('period', [1, 2, 4, 6, 9])
def test_a_resumed_run_decides_the_same_at_the_same_epoch(tmp_path, period, moment):
    rates, waited, runner = resumed(tmp_path, period, moment, OURS)
    assert list(rates.values()) == RATES and list(waited.values()) == WAITED
    assert runner.epoch == 10 and runner.message_hub.get_info('best_score') == 24.0


def test_a_run_that_was_killed_when_it_should_stop_stops_at_once(tmp_path):
    _, waited, runner = resumed(tmp_path, 10, 'before validation', OURS)
    assert runner.epoch == 10 and waited[10] == 4


def test_a_run_that_had_stopped_does_not_go_on(tmp_path):
    train(tmp_path, Kill(), OURS)
    assert train(tmp_path, Kill(), OURS, resume=True).epoch == 10


@pytest.mark.parametrize('moment', ['before validation', 'in the next period'])
def test_iterations_are_counted_like_epochs(tmp_path, moment):
    _, waited, runner = resumed(tmp_path, 4, moment, OURS, by_epoch=False)
    assert list(waited.values()) == WAITED and runner.iter == 10 * STEPS


def test_mmengine_alone_decides_otherwise(tmp_path):
    """If this fails, MMEngine has learned to resume, and the two hooks can go."""
    rates, _, runner = resumed(tmp_path, 8, 'in the next period', PLAIN)
    assert list(rates.values()) != RATES and runner.epoch != 10


def test_a_metric_that_is_missing_is_told(tmp_path):
    with pytest.raises(RuntimeError, match='mAcc'):
        train(tmp_path, Kill(), [dict(OURS[0], monitor='mAcc')])
