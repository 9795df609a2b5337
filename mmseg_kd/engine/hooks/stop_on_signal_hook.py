from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...io.stop_signals import defer, requested, stop
from ..safe_saves import save_now


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Finish the step, save a checkpoint, and end with status 0 when a scheduler's signal arrives.

    The signals are SIGTERM and SIGUSR1, see :func:`~mmseg_kd.io.stop_signals.stop_signals`. All processes of a training
    stop after the same step, even if only one of them received the signal. A validation that is interrupted is repeated
    by the resumed run. Runs by epochs are saved within the epoch, and resume with the rest of it.
    """

    # All other hooks have finished their work on the step, and CheckpointHook may have saved it.
    priority = 'LOWEST'

    _training = False

    def before_train(self, runner: Runner) -> None:
        self._training = True
        defer()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if _any_process():
            _stop(runner, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        # Processes may have different numbers of batches. They can agree only after those that all have.
        number = torch.tensor(len(runner.val_dataloader))
        if is_distributed():
            all_reduce(number, 'min')
        self._common = int(number)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if self._training and batch_idx < self._common and _any_process():
            _stop(runner, runner.iter, validating=True)


def _any_process() -> bool:
    """Whether any process received a signal. All processes get the same answer."""
    received = torch.tensor(int(requested() is not None))
    if is_distributed():
        all_reduce(received, 'max')
    return bool(received)


def _stop(runner: Runner, done: int, validating: bool = False) -> None:
    path = save_now(runner, done, validating)
    barrier()
    stop(
        f'{path} is saved, and the same command with --resume continues from it'
        if path
        else 'nothing is saved, because the config has no CheckpointHook'
    )
