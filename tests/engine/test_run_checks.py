"""Keys that are right each and wrong together."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmseg.registry import DATA_SAMPLERS, MODELS
from torch import nn
from torch.utils.data import DataLoader, Sampler

from mmseg_kd.engine.run_checks import (
    Loop,
    check_config,
    check_loader,
    check_schedules,
    norm_of_single_values,
    training_loop,
)
from mmseg_kd.testing.toys import toy_segmentor

ITERATIONS = dict(type='IterBasedTrainLoop', max_iters=1000, val_interval=100)
EPOCHS = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=1)
POLY = dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=1000, by_epoch=False)


def config(
    train_cfg=ITERATIONS,
    sampler='InfiniteSampler',
    scheduler=POLY,
    best='mIoU',
    metric=None,
    hooks=(),
    checkpoint=None,
    **more,
):
    """As stock configs are, but for what is given."""
    by_epoch = 'max_epochs' in train_cfg
    return Config(
        dict(
            dict(
                train_cfg=train_cfg,
                train_dataloader=dict(batch_size=8, sampler=dict(type=sampler, shuffle=True)),
                val_dataloader=dict(batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False)),
                val_cfg=dict(type='ValLoop'),
                val_evaluator=metric or dict(type='IoUMetric', iou_metrics=['mIoU']),
                param_scheduler=scheduler,
                custom_hooks=list(hooks),
                default_hooks=dict(
                    logger=dict(type='LoggerHook', log_metric_by_epoch=by_epoch),
                    checkpoint=dict(
                        dict(type='CheckpointHook', by_epoch=by_epoch, interval=100, save_best=best),
                        **(checkpoint or {}),
                    ),
                ),
            ),
            **more,
        )
    )


def found(*args, **kwargs):
    problems = check_config(config(*args, **kwargs))
    return problems.refusals, problems.warnings


def refusal(*args, **kwargs):
    (text,), warnings = found(*args, **kwargs)
    assert warnings == []
    return text


def warning(*args, **kwargs):
    refusals, (text,) = found(*args, **kwargs)
    assert refusals == []
    return text


class EndlessByAnotherName(Sampler):
    def __init__(self, dataset, shuffle=True, seed=None):
        self._dataset = dataset

    def __iter__(self):
        while True:
            yield 0

    def __len__(self):
        return len(self._dataset)


@pytest.fixture
def endless():
    DATA_SAMPLERS.register_module(module=EndlessByAnotherName)
    yield
    DATA_SAMPLERS.module_dict.pop('EndlessByAnotherName')


def test_what_stock_configs_have_is_well():
    assert found() == ([], [])
    assert found(sampler='DefaultSampler') == ([], [])
    assert found(EPOCHS, 'DefaultSampler', dict(type='PolyLR', eta_min=0, end=20)) == ([], [])
    warm_up = [dict(type='LinearLR', start_factor=1e-6, begin=0, end=100, by_epoch=False), dict(POLY, begin=100)]
    assert found(scheduler=warm_up) == ([], []) and found(scheduler=dict(main=warm_up, critic=[POLY])) == ([], [])
    assert found(scheduler=None, best=None) == ([], [])


@pytest.mark.parametrize(
    'sampler', ['InfiniteSampler', 'StreamSampler', 'mmengine.InfiniteSampler', 'EndlessByAnotherName']
)
def test_an_endless_sampler_and_epochs_never_end(endless, sampler):
    text = refusal(EPOCHS, sampler, None)
    assert f'train_dataloader.sampler is {sampler.split(".")[-1]}, which never ends' in text
    assert 'train_cfg.max_epochs is 20' in text and "set train_dataloader.sampler.type='DefaultSampler'" in text
    assert found(sampler=sampler) == ([], [])
    text = refusal(val_dataloader=dict(sampler=dict(type=sampler)))
    assert text.startswith(f'val_dataloader.sampler is {sampler.split(".")[-1]}') and 'IterBased' not in text


def test_loops_without_a_type_and_those_of_mckd_are_understood():
    assert training_loop(Config(dict(train_cfg=dict(by_epoch=False, max_iters=5)))).length == 'train_cfg.max_iters is 5'
    assert training_loop(Config(dict(train_cfg=dict(by_epoch=True, max_epochs=5)))).by_epoch
    assert training_loop(Config(dict(train_cfg=dict(type='ValLoop')))) is None and training_loop(Config(dict())) is None
    mckd = dict(type='MCKDLoop', teacher=dict(config='teacher.py'), train=EPOCHS)
    assert training_loop(Config(dict(train_cfg=mckd))).length == 'train_cfg.train.max_epochs is 20'
    assert 'train_cfg.train.max_epochs is 20' in refusal(mckd, 'InfiniteSampler', None, checkpoint=dict(by_epoch=True))


def test_validation_needs_all_of_its_keys():
    text = refusal(best=None, val_evaluator=None, val_cfg=None)
    assert 'but val_cfg and val_evaluator are not set' in text
    assert found(best=None, val_evaluator=None, val_cfg=None, val_dataloader=None) == ([], [])


def test_validation_that_never_comes_is_told():
    assert 'val_begin is 2000, but train_cfg.max_iters is 1000: nothing is ever validated' in warning(
        dict(ITERATIONS, val_begin=2000), best=None
    )
    assert 'val_interval is 4000' in warning(dict(ITERATIONS, val_interval=4000))
    assert "'mIoU', but nothing is validated" in warning(val_dataloader=None, val_cfg=None, val_evaluator=None)


@pytest.mark.parametrize('kind', ['EarlyStoppingHook', 'ResumableEarlyStoppingHook'])
def test_early_stopping_without_validation_or_by_an_unknown_metric_is_refused(kind):
    hook = dict(type=kind, monitor='mIoU')
    assert found(hooks=[hook]) == ([], [])
    assert refusal(hooks=[dict(hook, monitor='mDice', strict=False)]) == (
        "custom_hooks.0.monitor is 'mDice', but validation gives aAcc, mIoU, mAcc; name one of them, or change val_evaluator"
    )
    without = dict(best=None, val_dataloader=None, val_cfg=None, val_evaluator=None)
    assert "custom_hooks.0.monitor is 'mIoU', but nothing is validated" in refusal(hooks=[hook], **without)


def test_the_best_checkpoint_goes_by_metrics_that_there_are():
    assert "default_hooks.checkpoint.save_best is 'mDice', but validation gives aAcc, mIoU, mAcc" in refusal(
        best='mDice'
    )
    assert found(best=['mIoU', 'mAcc']) == ([], [])
    assert "save_best is 'mDice'" in refusal(best=['mIoU', 'mDice'])
    assert "save_best is 'mIoU', but validation gives a/aAcc" in refusal(metric=dict(type='IoUMetric', prefix='a'))
    assert 'takes the first metric of a validation, aAcc; name the metric' in warning(best='auto')
    assert 'gives no metric' in refusal(best='auto', metric=dict(type='IoUMetric', format_only=True, output_dir='out'))
    assert "custom_hooks.0.save_best is 'mDice'" in refusal(hooks=[dict(type='CheckpointHook', save_best='mDice')])


def test_a_plateau_goes_by_a_metric_that_there_is_and_needs_validation():
    plateau = dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater', by_epoch=True)
    assert found(scheduler=plateau) == ([], []) and found(scheduler=[POLY, plateau]) == ([], [])
    # The default of MMEngine is a loss, which validation does not give.
    assert "param_scheduler.monitor is 'loss'" in refusal(scheduler=dict(type='ReduceOnPlateauLR'))
    assert 'param_scheduler.1.by_epoch is False' in refusal(scheduler=[POLY, dict(plateau, by_epoch=False)])


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
        (dict(type='PolyLR', by_epoch=False), 'ends at no end that is set'),
        (dict(type='CosineAnnealingLR', T_max=2000, eta_min=0, by_epoch=False), 'ends at 2000'),
        (dict(POLY, end=500), 'the learning rate stays at its least from there'),
        (dict(type='LinearLR', start_factor=0.1, end=1500, by_epoch=False), 'is a warm-up until 1500'),
        (dict(type='LinearLR', start_factor=0.1, by_epoch=False), 'is a warm-up until no end that is set'),
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


@pytest.mark.parametrize(
    'padding, words',
    [
        (dict(size=None), r'either size or size_divisor to train, but has neither; set size .*, or size_divisor=1'),
        (dict(size_divisor=32), r'to train, but has both; set size .*, or one of them to None'),
        (dict(size=None, size_divisor=32), None),
        (dict(type='BaseDataPreprocessor', size=None), None),
    ],
)
def test_a_preprocessor_that_cannot_pad_a_batch_is_refused(padding, words):
    model = toy_segmentor(4)
    model.data_preprocessor.update(padding)
    refusals, _ = found(model=model)
    assert (not refusals) if words is None else re.search(words, *refusals)


def test_what_is_done_does_not_count_as_waste():
    loop = Loop('train_cfg', False, 1000, {})
    assert check_schedules(dict(POLY, eta_min=0, end=950), loop).refusals == []
    assert check_schedules(dict(POLY, eta_min=0, end=950), loop, start=900).refusals != []


def test_checkpoints_that_are_never_written_and_images_that_are_never_shuffled_are_told():
    assert 'saves nothing' in warning(checkpoint=dict(interval=2000, save_last=False))
    assert 'shuffle is False' in warning(train_dataloader=dict(sampler=dict(type='InfiniteSampler', shuffle=False)))


class Pooled(nn.Module):
    """A segmentor's outside, with BatchNorm behind global pooling, as ASPP has it."""

    def __init__(self, frozen=False):
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.frozen = frozen

    def extract_feat(self, inputs):
        return self.pool(inputs)

    def train(self, mode=True):
        super().train(mode)
        if self.frozen:
            self.pool[2].eval()
        return self


def loader(number, sampler=DefaultSampler, **settings):
    data = list(range(number))
    return DataLoader(data, sampler=sampler(data), **settings)


LOOP = Loop('train_cfg', True, 2, {})


def test_a_batch_of_one_is_refused_where_batch_norm_sees_one_value():
    with pytest.raises(ValueError, match='Expected more than 1 value per channel'):
        Pooled().train().extract_feat(torch.zeros(1, 3, 8, 8))
    (text,) = check_loader(loader(9, batch_size=4), Pooled(), (8, 8), LOOP).refusals
    assert 'pool.2 normalizes one value' in text and 'the last of 9 images' in text and 'drop_last=True' in text
    (text,) = check_loader(loader(8, batch_size=1), Pooled(), (8, 8), LOOP).refusals
    assert 'train_dataloader.batch_size is 1; set 2 or more' in text
    for healthy in (
        loader(10, batch_size=4),
        loader(9, batch_size=4, drop_last=True),
        loader(9, InfiniteSampler, batch_size=4),
    ):
        assert check_loader(healthy, Pooled(), (8, 8), LOOP).refusals == []
    assert check_loader(loader(9, batch_size=4), Pooled(frozen=True), (8, 8), LOOP).refusals == []


def test_a_pass_that_training_does_not_finish_has_no_last_batch():
    assert check_loader(loader(9, batch_size=4), Pooled(), (8, 8), Loop('train_cfg', False, 2, {})).refusals == []
    assert check_loader(loader(9, batch_size=4), Pooled(), (8, 8), Loop('train_cfg', False, 3, {})).refusals != []


def test_trying_a_network_leaves_it_as_it_was():
    network = Pooled()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert norm_of_single_values(network, (8, 8)) == 'pool.2' and network.pool[2].training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.pool[2]._forward_pre_hooks


def test_heads_are_looked_at_too():
    psp = toy_segmentor()
    assert norm_of_single_values(MODELS.build(psp), (32, 32)) == 'decode_head.psp_modules.0.1.bn'
    without = toy_segmentor(auxiliary=False)
    without.decode_head.update(type='FCNHead', num_convs=1)
    without.decode_head.pop('pool_scales')
    assert norm_of_single_values(MODELS.build(without), (32, 32)) is None
    without.auxiliary_head = psp.decode_head
    assert norm_of_single_values(MODELS.build(without), (32, 32)) == 'auxiliary_head.psp_modules.0.1.bn'


def test_fewer_images_than_a_batch_that_are_dropped_are_refused():
    (text,) = check_loader(loader(3, batch_size=4, drop_last=True), Pooled(), (8, 8), LOOP).refusals
    assert 'a process has 3 images, fewer than train_dataloader.batch_size (4)' in text
    assert check_loader(loader(3, InfiniteSampler, batch_size=4, drop_last=True), Pooled(), (8, 8), LOOP).refusals == []
