import logging
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from mmseg_kd.engine import BatchSizeHook
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


def warnings_of(batch_size, processes, scaling, accumulated=1, dataloader=None):
    said = []
    BatchSizeHook().before_train(
        SimpleNamespace(
            auto_scale_lr=scaling,
            world_size=processes,
            logger=SimpleNamespace(warning=said.append),
            train_dataloader=dataloader or DataLoader(range(64), batch_size=batch_size),
            cfg=Config(dict(optim_wrapper=dict(accumulative_counts=accumulated))),
        )
    )
    return said


@pytest.mark.parametrize('batch_size, processes, accumulated', [(8, 1, 1), (2, 4, 1), (1, 8, 1), (2, 2, 2)])
def test_the_total_that_the_schedule_was_made_for_is_no_warning(batch_size, processes, accumulated):
    assert warnings_of(batch_size, processes, dict(base_batch_size=8), accumulated) == []


def test_the_config_of_one_gpu_on_eight_is_named_with_what_to_set():
    assert warnings_of(8, 8, dict(base_batch_size=8, enable=False)) == [
        'the learning rate was tuned for 8 items per step, but train_dataloader.batch_size=8 x 8 processes are 64; set '
        'train_dataloader.batch_size=1, or auto_scale_lr.enable=True to scale the learning rate'
    ]


@pytest.mark.parametrize(
    'batch_size, processes, accumulated, end',
    [
        (2, 1, 1, 'batch_size=2 x 1 process are 2; set train_dataloader.batch_size=8, or'),
        (8, 3, 1, 'batch_size=8 x 3 processes are 24; choose a number of processes that divides 8, or'),
        (8, 1, 3, 'are 24; choose a number of processes x accumulative_counts that divides 8, or'),
        (8, 1, 2, 'batch_size=8 x 1 process x accumulative_counts=2 are 16; set train_dataloader.batch_size=4, or'),
    ],
)
def test_other_totals(batch_size, processes, accumulated, end):
    (message,) = warnings_of(batch_size, processes, dict(base_batch_size=8), accumulated)
    assert end in message


@pytest.mark.parametrize('scaling', [None, dict(enable=False), dict(base_batch_size=8, enable=True)])
def test_no_warning_where_nothing_is_known_or_the_learning_rate_is_scaled(scaling):
    assert warnings_of(8, 8, scaling) == []


def test_a_batch_sampler_says_how_many():
    loader = DataLoader(range(64), batch_sampler=BatchSampler(SequentialSampler(range(64)), 4, drop_last=True))
    assert 'batch_size=4 x 4 processes are 16' in warnings_of(None, 4, dict(base_batch_size=8), dataloader=loader)[0]
    silent = DataLoader(range(64), batch_sampler=[[0], [1]])
    assert warnings_of(None, 4, dict(base_batch_size=8), dataloader=silent) == []


def test_training_says_it_once_and_goes_on(tmp_path):
    runner = toy_runner(
        toy_segmentor(4),
        tmp_path,
        max_iters=2,
        custom_hooks=[dict(type='BatchSizeHook')],
        auto_scale_lr=dict(base_batch_size=8, enable=False),
    )
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    runner.logger.addHandler(handler)
    runner.train()
    found = [record.getMessage() for record in records if 'the learning rate was tuned for 8' in record.getMessage()]
    assert len(found) == 1 and 'batch_size=2 x 1 process are 2' in found[0] and runner.iter == 2
