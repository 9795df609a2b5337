"""One training, as the tools run it."""

import argparse

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from ..doctor.doctor import check_before_training
from ..engine.hooks import ResumeCheckHook
from ..engine.launch import check_runner, check_settings, enable_amp, load_config, prepare_launch, set_resume


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
