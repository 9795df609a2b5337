import argparse
import logging

import pytest
import torch
from mmengine.config import Config

from mmseg_kd.engine import launch
from mmseg_kd.engine.checks import Problems
from mmseg_kd.engine.launch import check_settings, enable_amp, load_config, prepare_launch, rank_of, set_resume
from mmseg_kd.io.command_line import add_arguments
from mmseg_kd.io.errors import ConfigError

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
    with pytest.raises(
        ValueError, match='--amp needs optim_wrapper.type to be OptimWrapper, but it is ApexOptimWrapper'
    ):
        enable_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))


@pytest.mark.parametrize(
    'options, work_dir, lr',
    [([], 'work_dirs/a', 0.1), (['--work-dir', 'b'], 'b', 0.1), (['--cfg-options', 'work_dir=c', 'lr=0.2'], 'c', 0.2)],
)
def test_the_command_line_overrides_the_config(tmp_path, options, work_dir, lr):
    (tmp_path / 'a.py').write_text('lr = 0.1')
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    config = load_config(parser.parse_args([str(tmp_path / 'a.py'), '--launcher', 'slurm', *options]))
    assert (config.work_dir, config.lr, config.launcher) == (work_dir, lr, 'slurm')


def resumed(work_dir, config=None, flag=False, options=None):
    config = Config(dict(dict(work_dir=str(work_dir), train_cfg=dict(by_epoch=False, max_iters=2)), **(config or {})))
    config.merge_from_dict(options or {})
    set_resume(config, argparse.Namespace(resume=flag, cfg_options=options or {}))
    return config.resume, config.get('load_from')


def test_a_config_that_resumes_is_honoured(tmp_path):
    assert resumed(tmp_path) == (False, None) and resumed(tmp_path, flag=True) == (True, None)
    assert resumed(tmp_path, dict(resume=True)) == (True, None)
    assert resumed(tmp_path, dict(resume=True, load_from='a.pth')) == (True, 'a.pth')


def test_the_flag_is_about_the_work_directory_and_not_about_initial_weights(tmp_path):
    initial = dict(load_from='imagenet.pth')
    assert resumed(tmp_path, initial) == (False, 'imagenet.pth')
    assert resumed(tmp_path, initial, flag=True) == (False, 'imagenet.pth')
    assert resumed(
        tmp_path, dict(initial, train_cfg=dict(teacher={}, train=dict(by_epoch=True, max_epochs=2))), flag=True
    ) == (True, 'imagenet.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_2.pth'))
    assert resumed(tmp_path, initial, flag=True) == (True, None)
    assert resumed(tmp_path, initial, True, dict(load_from='iter_1.pth')) == (True, 'iter_1.pth')


def test_a_requeued_job_resumes_by_itself_from_what_it_saved(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(launch, 'print_log', lambda text, *args: said.append(text))
    monkeypatch.setenv('SLURM_RESTART_COUNT', '0')
    assert resumed(tmp_path) == (False, None)
    monkeypatch.setenv('SLURM_RESTART_COUNT', '2')
    assert resumed(tmp_path) == (True, None)
    assert said == ['SLURM has started this job again (restart 2): it resumes, as with --resume']
    first = dict(load_from='first.pth')
    assert resumed(tmp_path, first) == (False, 'first.pth')
    assert resumed(tmp_path, dict(first, resume=True)) == (True, 'first.pth')
    assert resumed(tmp_path, flag=True, options=first) == (True, 'first.pth')
    (tmp_path / 'iter_2.pth').touch()
    assert resumed(tmp_path, first) == (True, None)
    assert resumed(tmp_path, dict(first, resume=True)) == (True, None)
    assert resumed(tmp_path, flag=True, options=first) == (True, None)


def test_what_cannot_end_well_is_refused(monkeypatch):
    scheduler = [dict(type='PolyLR', end=10), dict(type='ReduceOnPlateauLR')]
    config = Config(dict(launcher='slurm', train_cfg=dict(by_epoch=False, max_iters=10), param_scheduler=scheduler))
    with pytest.raises(ConfigError) as stopped:
        check_settings(config)
    assert [line.split(' ')[0] for line in str(stopped.value).splitlines()] == [
        'param_scheduler.1.monitor',
        'param_scheduler.0.by_epoch',
    ]
    monkeypatch.setenv('SLURM_PROCID', '3')
    monkeypatch.setenv('SLURM_LOCALID', '1')
    assert rank_of('slurm') == (3, 1) and rank_of('none') == (0, 0)


def test_a_precision_that_is_slow_here_is_told_by_the_first_process(monkeypatch):
    told = []
    monkeypatch.setattr(launch, 'check_precision', lambda config: Problems(warnings=['slow']))
    monkeypatch.setattr(launch, 'print_log', lambda text, logger, level: told.append((text, level)))
    config = Config(dict(launcher='slurm', train_cfg=dict(by_epoch=False, max_iters=10)))
    check_settings(config)
    monkeypatch.setenv('SLURM_PROCID', '1')
    check_settings(config)
    assert told.count(('slow', logging.WARNING)) == 1


def test_equal_configs_are_formatted_once(monkeypatch):
    formatted = []
    for place in ('yapf.yapflib.yapf_api', 'mmengine.config.config'):
        monkeypatch.setattr(
            f'{place}.FormatCode', lambda text, **_: (formatted.append(text), ('x', True))[1], raising=False
        )
    launch.format_once()
    launch.format_once()
    first, second = Config(dict(a=1)), Config(dict(a=2))
    assert [config.pretty_text for config in (first, second, first)] == ['x'] * 3
    assert formatted == ['a=1', 'a=2']
