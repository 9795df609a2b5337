"""Settings that are wrong by themselves; docs/mistakes.md has many more cases."""

from pathlib import Path

import pytest
from mmengine.config import Config
from stock_trainings import config

from mmseg_kd.engine.checks import type_mistakes

ROOT = Path(__file__).resolve().parents[3]


def found(**changes):
    return list(type_mistakes(config(**changes)))


def test_a_good_config_has_no_mistakes():
    assert found() == []


@pytest.mark.parametrize(
    'name',
    [
        'semi/cps_r18half_camvid.py',
        'mckd/psp_r50_r18_camvid.py',
        'compact/both_digits.py',
        'camvid/skd_r18_r18half_camvid.py',
    ],
)
def test_shipped_configs_of_each_kind_have_no_mistakes(name):
    assert list(type_mistakes(Config.fromfile(ROOT / 'configs' / name))) == []


def test_each_part_is_checked():
    dataset, sampler = dict(type='CityscapesDataset'), dict(type='DefaultSampler')
    assert found(val_dataloader=dict(dataset=dataset, sampler=sampler, batchsize=1))[0].startswith(
        'val_dataloader.batchsize: a data loader has no argument batchsize; did you mean batch_size?'
    )
    assert found(train_cfg=dict(type='IterBasedTrainLoop', max_iters=-1)) == [
        'train_cfg.max_iters must be >= 1, but is -1; raise it'
    ]
    assert found(hooks=[dict(type='TermWeigthHook')]) == [
        "custom_hooks.0.type: 'TermWeigthHook' is not registered; did you mean TermWeightHook?"
    ]
    assert found(optim_wraper=dict()) == [
        'optim_wraper is no setting that training or testing reads; did you mean optim_wrapper?'
    ]
