"""One training, as the tools run it."""

import argparse
import shlex

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from ..doctor.doctor import check_before_training
from ..engine.hooks import ResumeCheckHook
from ..engine.launch import check_runner, check_settings, enable_amp, load_config, prepare_launch, set_resume
from ..io.command_line import as_arguments


def training_config(args: argparse.Namespace) -> Config:
    """The config of a training, prepared for this machine.

    Args:
        args: Parsed arguments of :func:`~mmseg_kd.io.command_line.add_training_arguments`.
    """
    config = load_config(args)
    set_resume(config, args)
    if args.amp:
        enable_amp(config)
    prepare_launch(config)
    return config


def training_command(args: argparse.Namespace) -> str:
    """The command line of ``tools/train.py`` for the same training.

    Args:
        args: Parsed arguments of :func:`~mmseg_kd.io.command_line.add_training_arguments`.

    Example:
        >>> from mmseg_kd.io.command_line import add_training_arguments
        >>> parser = argparse.ArgumentParser()
        >>> add_training_arguments(parser)
        >>> training_command(parser.parse_args(['a.py', '--amp', '--cfg-options', 'data_root=my images']))
        "tools/train.py a.py --amp --cfg-options 'data_root=my images'"
    """
    words = ['tools/train.py', args.config]
    named = dict(terms=args.terms, work_dir=args.work_dir, launcher=args.launcher if args.launcher != 'none' else None)
    flags = dict(amp=args.amp, resume=args.resume, trust_files=args.trust_files, debug=args.debug)
    words += [word for name, value in named.items() if value for word in (_option(name), value)]
    words += [_option(name) for name, given in flags.items() if given]
    if args.cfg_options:
        words += ['--cfg-options', *as_arguments(args.cfg_options)]
    return shlex.join(words)


def _option(name: str) -> str:
    return '--' + name.replace('_', '-')


def train(config: Config, check: bool = False) -> Runner:
    """Check a config, and train it.

    Args:
        config: Config of :func:`training_config`.
        check: Whether to run all checks of the doctor first.

    Returns:
        Runner: The runner after the training.

    Raises:
        ConfigError: If settings must be changed.
        SystemExit: With status 1, if the doctor finds that the training would fail.
    """
    if check:
        check_before_training(config)
    check_settings(config)
    runner = RUNNERS.build(config) if 'runner_type' in config else Runner.from_cfg(config)
    runner.register_hook(ResumeCheckHook())
    check_runner(runner)
    runner.train()
    return runner
