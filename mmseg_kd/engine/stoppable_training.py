"""Trainings that end without loss when a scheduler asks for it."""

import functools

from mmengine.dist import is_main_process
from mmengine.runner import Runner
from torch import nn

from ..io.files import remove_leftovers
from ..io.stop_signals import stop_signals

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
        with stop_signals(ADVICE):
            return train(runner)

    Runner.train = train_until_signal
