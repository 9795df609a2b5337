"""Trainings whose images are labeled only when they run, looked at with labels that stand in."""

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
from .diagnosis import Say


def check_labeling(say: Say, config: Config, folder: str) -> tuple[MCKDLoop, Config]:
    """Build the loop and its teacher, and labels that stand in for the teacher's.

    Args:
        say: to speak through.
        config: of the run.
        folder: for the labels; the processes share that of the first.

    Returns:
        tuple: the loop, and the config of a training on a few images.
    """
    shared = [folder]
    broadcast_object_list(shared)
    # Names of MMEngine's loggers and visualizers live as long as the process, and this folder does not.
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
    say.ok(f'{loop.number_of_images()} images to label; the checks below have labels that stand in for them')
    return loop, training


def check_trainings(say: Say, labeling: tuple[MCKDLoop, Config]) -> None:
    """Try a training for one step and one validation, and the labeling by its student."""
    loop, training = labeling
    loop.rehearse(training, Path(training.work_dir).parent)
    say.ok('one step, one validation and one image labeled by the student; no batch of a training is too small')


def stand_in_loader(say: Say, labeling: tuple[MCKDLoop, Config]) -> DataLoader:
    """The loader of a training on a few images with labels that stand in."""
    _, training = labeling
    loader = Runner.build_dataloader(without_workers(training.train_dataloader), seed=0)
    say.skipped(f'the labels of {len(loader.dataset)} images stand in for those that there will be')
    return loader


def whole_length(labeling: tuple[MCKDLoop, Config]) -> Config:
    """The config of a training on a few images, with the iterations that one on all images has."""
    loop, training = labeling
    length = training_loop(training)
    if length is not None and length.by_epoch:
        number = math.ceil(loop.number_of_images() / training.train_dataloader.get('batch_size', 1))
        training = copy.deepcopy(training)
        training.train_cfg = dict(type='IterBasedTrainLoop', max_iters=length.total * number)
    return training
