"""Checks of trainings whose images are labeled during the run, with placeholder labels."""

import copy
import math
import uuid
from pathlib import Path
from types import SimpleNamespace

from mmengine.config import Config
from mmengine.dist import broadcast_object_list
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmseg.registry import LOOPS
from torch.utils.data import DataLoader

from ..engine import MCKDLoop
from ..engine.checks import training_loop
from .data_checks import without_workers
from .diagnosis import Reporter


def check_labeling(report: Reporter, config: Config, folder: str) -> tuple[MCKDLoop, Config]:
    """Build the loop, its teacher, and placeholder labels in place of the teacher's.

    Args:
        report: receiver of findings.
        config: training config.
        folder: folder for the labels; all processes use the folder of the first one.

    Returns:
        tuple: the loop, and the config of a training on a few images.
    """
    shared = [folder]
    broadcast_object_list(shared)
    # MMEngine keeps loggers and visualizers by name until the process ends, but this folder is removed.
    runner = SimpleNamespace(
        cfg=copy.deepcopy(config),
        work_dir=shared[0],
        _resume=False,
        experiment_name=f'doctor_{uuid.uuid4().hex}',
        logger=MMLogger.get_current_instance(),
    )
    runner.cfg.launcher = 'none'
    loop = LOOPS.build(
        copy.deepcopy(config.train_cfg),
        default_args=dict(runner=runner, dataloader=copy.deepcopy(config.train_dataloader)),
    )
    training = loop.stand_in(Path(shared[0]))
    report.ok(f'{loop.number_of_images()} images to label; the checks below use placeholder labels')
    return loop, training


def check_trainings(report: Reporter, labeling: tuple[MCKDLoop, Config]) -> None:
    """Try one step and one validation of a training, and the labeling by its student."""
    loop, training = labeling
    loop.rehearse(training, Path(training.work_dir).parent)
    report.ok('one step, one validation, and one image labeled by the student; no batch is too small')


def stand_in_loader(report: Reporter, labeling: tuple[MCKDLoop, Config]) -> DataLoader:
    """The data loader of a training on a few images with placeholder labels."""
    _, training = labeling
    loader = Runner.build_dataloader(without_workers(training.train_dataloader), seed=0)
    report.skipped(f'placeholder labels of {len(loader.dataset)} images are used; the real ones do not exist yet')
    return loader


def whole_length(labeling: tuple[MCKDLoop, Config]) -> Config:
    """The config of a training on a few images, with the number of iterations for all images."""
    loop, training = labeling
    length = training_loop(training)
    if length is not None and length.by_epoch:
        number = math.ceil(loop.number_of_images() / training.train_dataloader.get('batch_size', 1))
        training = copy.deepcopy(training)
        training.train_cfg = dict(type='IterBasedTrainLoop', max_iters=length.total * number)
    return training
