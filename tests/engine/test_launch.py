import pytest
import torch
from mmengine.config import Config

from mmseg_kd.engine.launch import default_work_dir, enable_amp, prepare_launch

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason='describes machines without a GPU')


@needs_no_gpu
def test_sync_bn_becomes_bn_everywhere():
    config = Config(dict(a=dict(norm_cfg=dict(type='SyncBN')), b=[dict(c=dict(type='SyncBN'))], d=dict(type='BN')))
    prepare_launch(config)
    assert 'SyncBN' not in str(config) and config.b[0].c.type == 'BN'


@needs_no_gpu
def test_amp_without_a_gpu_is_refused():
    with pytest.raises(ValueError, match='--amp needs a GPU'):
        enable_amp(Config(dict(optim_wrapper=dict(type='OptimWrapper'))))


def test_with_a_gpu_nothing_changes_and_amp_is_set(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    config = Config(dict(a=dict(type='SyncBN'), optim_wrapper=dict(optimizer=dict(type='SGD'))))
    prepare_launch(config)
    enable_amp(config)
    assert config.a.type == 'SyncBN'
    assert config.optim_wrapper.type == 'AmpOptimWrapper' and config.optim_wrapper.loss_scale == 'dynamic'
    with pytest.raises(ValueError, match='--amp needs optim_wrapper.type to be OptimWrapper, but it is ApexOptimWrapper'):
        enable_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))


def test_work_dirs_are_named_after_the_config():
    assert default_work_dir('configs/kd/a.py') == 'work_dirs/a'
