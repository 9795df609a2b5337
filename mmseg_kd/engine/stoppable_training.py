"""Trainings that end without loss when a scheduler asks for it."""

import functools
import logging
import os
import sys

import torch.distributed as dist
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from torch import nn

from ..io.files import remove_leftovers
from ..io.stop_signals import Stopped, stop_signals

ADVICE = 'no step was interrupted, and the same command with --resume goes on'


def make_trainings_stoppable() -> None:
    """Make every Runner end on signals as :class:`~mmseg_kd.engine.StopOnSignalHook` describes.

    Before a training, the temporary files that killed processes left in its work directory are removed.
    """
    train = Runner.train

    @functools.wraps(train)
    def train_until_signal(runner: Runner) -> nn.Module:
        if is_main_process():
            for path in remove_leftovers(runner.work_dir):
                runner.logger.info(f'removed {path}, which a killed process had left')
        try:
            with stop_signals(ADVICE):
                return train(runner)
        except Stopped as stopped:
            leave(int(stopped.code or 0))
            raise

    Runner.train = train_until_signal


def leave(status: int) -> None:
    """End the process at once if it uses gloo; return otherwise.

    Gloo's threads may abort a process during a normal exit, even after the group was left, and its launcher would then
    report the finished work as failed. Buffers are flushed, and all other cleanup is skipped.

    Args:
        status: Exit status.
    """
    if dist.is_initialized() and dist.get_backend() == 'gloo':
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
