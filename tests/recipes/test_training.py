import argparse
import shlex

import pytest

from mmseg_kd.io.command_line import add_training_arguments
from mmseg_kd.io.errors import ConfigError
from mmseg_kd.recipes.training import train, training_command, training_config


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_training_arguments(parser)
    return parser.parse_args(arguments)


def config_of(own, tmp_path, *more):
    return training_config(parsed(str(own / 'student.py'), '--work-dir', str(tmp_path / 'run'), *more))


def test_the_command_line_is_in_the_config(own, tmp_path):
    config = config_of(own, tmp_path, '--amp', '--resume', '--cfg-options', 'train_cfg.max_iters=7')
    assert config.train_cfg.max_iters == 7 and config.resume is True and config.work_dir == str(tmp_path / 'run')
    assert config.optim_wrapper.type in ('BFloat16OptimWrapper', 'AmpOptimWrapper')


@pytest.mark.parametrize(
    'arguments',
    [
        'a.py',
        'a.py --work-dir "my runs/a" --amp',
        'setup --terms cwd --resume --launcher slurm --debug',
        'a.py --trust-files --cfg-options data_root="my images" lr=0.1 steps="[{\'type\': \'Resize\'}]"',
    ],
)
def test_the_written_command_says_the_same(arguments, monkeypatch):
    monkeypatch.setenv('MMSEG_KD_TRUST_FILES', '0')  # which --trust-files sets
    args = parsed(*shlex.split(arguments))
    tool, *words = shlex.split(training_command(args))
    assert tool == 'tools/train.py' and parsed(*words) == args


def test_it_trains_to_the_end(own, tmp_path):
    runner = train(config_of(own, tmp_path))
    assert runner.iter == 2 and (tmp_path / 'run' / 'iter_2.pth').is_file()


def test_settings_that_must_fail_are_refused_before_anything_is_built(own, tmp_path):
    config = config_of(own, tmp_path, '--cfg-options', 'default_hooks.checkpoint.save_best=mIuO')
    with pytest.raises(ConfigError, match='mIuO'):
        train(config)
    assert not (tmp_path / 'run').exists()
