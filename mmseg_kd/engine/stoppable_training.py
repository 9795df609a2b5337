"""Trainings that end without loss when a scheduler asks for it."""

import functools
from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from ..io.files import remove_leftovers
from ..io.open_files import CheckedWorker, open_files_explained
from ..io.stop_signals import PatientWorker, stop_signals

ADVICE = 'no step was interrupted, and the same command with --resume continues'


def make_trainings_stoppable() -> None:
    """Make every Runner end on signals as :class:`~mmseg_kd.engine.StopOnSignalHook` describes.

    Before a training, the temporary files that killed processes left in its work directory are removed.
    """
    train, build = Runner.train, Runner.build_dataloader

    @functools.wraps(train)
    def train_until_signal(runner: Runner) -> nn.Module:
        if is_main_process():
            for path in remove_leftovers(runner.work_dir):
                runner.logger.info(f'removed {path}, which a killed process had left')
        with stop_signals(ADVICE), open_files_explained():
            return train(runner)

    @functools.wraps(build)
    def build_patient_dataloader(*args: Any, **kwargs: Any) -> DataLoader:
        loader = build(*args, **kwargs)
        if loader.num_workers:
            loader.worker_init_fn = PatientWorker(CheckedWorker(loader.worker_init_fn))
        return loader

    Runner.train, Runner.build_dataloader = train_until_signal, staticmethod(build_patient_dataloader)
