import argparse

import pytest
import torch
from mmengine.config import Config

from mmseg_kd.engine.launch import add_arguments, enable_amp, load_config, prepare_launch

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason='describes machines without a GPU')


@needs_no_gpu
def test_sync_bn_becomes_bn_everywhere():
    config = Config(dict(a=dict(norm_cfg=dict(type='SyncBN')), b=[dict(c=dict(type='SyncBN'))], d=dict(type='BN')))
    prepare_launch(config)
    assert 'SyncBN' not in str(config) and config.b[0].c.type == 'BN'


@needs_no_gpu
def test_amp_without_a_gpu_is_that_in_bfloat16():
    config = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    enable_amp(config)
    assert dict(config.optim_wrapper) == dict(type='BFloat16OptimWrapper')


def test_with_a_gpu_nothing_changes_and_amp_is_set(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    config = Config(dict(a=dict(type='SyncBN'), optim_wrapper=dict(optimizer=dict(type='SGD'))))
    prepare_launch(config)
    enable_amp(config)
    assert config.a.type == 'SyncBN'
    assert config.optim_wrapper.type == 'AmpOptimWrapper' and config.optim_wrapper.loss_scale == 'dynamic'
    with pytest.raises(ValueError, match='--amp needs optim_wrapper.type to be OptimWrapper, but it is ApexOptimWrapper'):
        enable_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))


@pytest.mark.parametrize('options, work_dir, lr', [([], 'work_dirs/a', 0.1), (['--work-dir', 'b'], 'b', 0.1),
                                                   (['--cfg-options', 'work_dir=c', 'lr=0.2'], 'c', 0.2)])
def test_the_command_line_overrides_the_config(tmp_path, options, work_dir, lr):
    (tmp_path / 'a.py').write_text('lr = 0.1')
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    config = load_config(parser.parse_args([str(tmp_path / 'a.py'), '--launcher', 'slurm', *options]))
    assert (config.work_dir, config.lr, config.launcher) == (work_dir, lr, 'slurm')
