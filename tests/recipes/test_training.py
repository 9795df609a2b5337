import argparse

import pytest

from mmseg_kd.io.command_line import add_training_arguments
from mmseg_kd.io.errors import ConfigError
from mmseg_kd.recipes.training import train, training_config


def config_of(own, tmp_path, *more):
    parser = argparse.ArgumentParser()
    add_training_arguments(parser)
    return training_config(parser.parse_args([str(own / 'student.py'), '--work-dir', str(tmp_path / 'run'), *more]))


def test_the_command_line_is_in_the_config(own, tmp_path):
    config = config_of(own, tmp_path, '--amp', '--resume', '--cfg-options', 'train_cfg.max_iters=7')
    assert config.train_cfg.max_iters == 7 and config.resume is True and config.work_dir == str(tmp_path / 'run')
    assert config.optim_wrapper.type in ('BFloat16OptimWrapper', 'AmpOptimWrapper')


def test_it_trains_to_the_end(own, tmp_path):
    runner = train(config_of(own, tmp_path))
    assert runner.iter == 2 and (tmp_path / 'run' / 'iter_2.pth').is_file()


def test_settings_that_must_fail_are_refused_before_anything_is_built(own, tmp_path):
    config = config_of(own, tmp_path, '--cfg-options', 'default_hooks.checkpoint.save_best=mIuO')
    with pytest.raises(ConfigError, match='mIuO'):
        train(config)
    assert not (tmp_path / 'run').exists()
