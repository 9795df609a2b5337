"""Checks of a config before hours of training: data, networks, teacher, all losses of a step, and its cost."""

import contextlib
import copy
import gc
import io
import logging
import platform
import random
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope, init_default_scope
from torch import nn
from torch.utils.data import DataLoader

from .. import stack
from ..constants import IGNORE_INDEX
from ..distillers import CachedTeacher
from ..distillers.dry_run import as_trained
from ..distillers.inference import image_size
from ..distillers.teacher import build_teachers, scaled_size
from ..engine.checks import Problems, check_config, check_loader, check_precision, training_loop, training_size
from ..engine.launch import rank_of
from ..engine.partition_runs import partition_of
from ..io.configs import outer_preprocessor
from ..version import __version__
from .data_checks import check_data
from .diagnosis import FAILED, Diagnosis, Missing, Reporter
from .labeling_checks import check_labeling, check_trainings, stand_in_loader, whole_length
from .loss_parts import loss_table
from .module_table import Feature, features, module_table
from .network_checks import (
    Network,
    check_classes,
    check_ignore_index,
    check_normalization,
    check_student,
    check_teachers,
    class_table,
)
from .overlap_checks import check_overlap
from .step_checks import (
    check_batch,
    check_losses,
    check_model,
    check_optimizer,
    check_unlabeled,
    check_unused,
    check_validation,
)
from .step_cost import check_cost, cost_table
from .teacher_checks import (
    check_accuracy,
    check_cache,
    check_cached_images,
    check_knowledge,
    check_partition,
    check_start,
    check_weights,
)


def examine(
    config: Config,
    images: int = 50,
    samples: int = 32,
    seconds: float = 60.0,
    distributed: bool = False,
    views: int | None = None,
    out: TextIO | None = None,
) -> bool:
    """Run all checks and print their findings, and then tables of modules, losses and the cost of a step.

    No file is written, and the config and the random states do not change. An error in one check does not stop the
    others. The device is the one that a training of the config would use.

    Args:
        config: training config, with or without distillation.
        images: number of validation images for the teacher's mIoU.
        samples: number of label maps to read from each data set.
        seconds: time limit of the teacher's mIoU and of the timed steps, each.
        distributed: whether the training has several processes; then parameters without a gradient are a failure.
        views: number of views whose teacher outputs are stored before the training; None if none are.
        out: output stream; standard output if None.

    Returns:
        bool: whether no finding would ruin the run.
    """
    config, diagnosis = copy.deepcopy(config), Diagnosis(out or sys.stdout)
    with _undisturbed(config), tempfile.TemporaryDirectory() as folder:
        tables = _examine(diagnosis, config, images, samples, seconds, distributed, views, folder)
    for title, table in tables.items():
        diagnosis.write(f'\n{title}\n\n{table}')
    diagnosis.write(f'\n{diagnosis.verdict()}')
    return not diagnosis.failed


def check_before_training(config: Config, views: int | None = None) -> None:
    """Examine a config in each process of a training before it starts; only the first process prints.

    Call this before the Runner is built: before the process group exists, processes cannot wait for each other. Another
    process prints only the failures that it finds.

    Args:
        config: training config with ``launcher``.
        views: number of views whose teacher outputs are stored before the training; None if none are.

    Raises:
        SystemExit: with status 1, if a finding would ruin the run.
    """
    rank, local_rank = rank_of(config.launcher)
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
    quiet = io.StringIO()
    if not examine(config, distributed=config.launcher != 'none', views=views, out=quiet if rank else None):
        for line in quiet.getvalue().splitlines():
            if line.startswith(FAILED):  # which the first process may not have found
                print(f'rank {rank}: {line}', file=sys.stderr)
        raise SystemExit(1)


def check_versions(report: Reporter, device: str) -> None:
    """The installed versions, and the device of the training."""
    names = ['torch', 'numpy', *stack.STACKS[stack.installed_stack()]]
    versions = ', '.join(f'{name} {metadata.version(name)}' for name in names)
    where = torch.cuda.get_device_name() if device == 'cuda' else device
    text = f'mmseg_kd {__version__}, Python {platform.python_version()}, {versions}; on {where}'
    if device == 'cpu' and Path('/proc/driver/nvidia/version').exists():
        report.warning(f'{text}, though the machine has an NVIDIA driver: install a torch that was built for it')
    else:
        report.ok(text)


def check_settings(report: Reporter, config: Config) -> None:
    """Keys that contradict each other, such as loop, samplers and schedules; and precisions that are slow here."""
    problems = check_config(config)
    if not problems.refusals:
        problems.add(check_precision(config))
    _report_problems(
        report, problems, 'samplers, validation, metrics, checkpoints and schedules fit the length of training'
    )


def check_batches(report: Reporter, config: Config, model: nn.Module, loader: DataLoader) -> None:
    """Whether training gets batches, and no batch of one image if BatchNorm needs two."""
    _report_problems(
        report,
        check_loader(loader, model, training_size(config), training_loop(config)),
        f'{config.train_dataloader.get("batch_size", 1)} images in each batch, also in the last one',
    )


def _report_problems(report: Reporter, problems: Problems, success: str) -> None:
    for text in problems.refusals:
        report.failed(text)
    for text in problems.warnings:
        report.warning(text)
    if report.clean:
        report.ok(success)


def _examine(
    diagnosis: Diagnosis,
    config: Config,
    images: int,
    samples: int,
    seconds: float,
    distributed: bool,
    views: int | None,
    folder: str,
) -> dict[str, str]:
    run, device, distilled = diagnosis.run, get_device(), 'teacher' in (config.get('model') or {})
    run('versions', check_versions, device)
    run('settings', check_settings, config)
    student = run('student' if distilled else 'network', check_student, config)
    # The teachers are loaded once for all checks.
    teachers = (
        run('teacher', lambda report: build_teachers(config.model.teacher, outer_preprocessor(config)))
        if distilled
        else {}
    )
    networks = run('teacher', check_teachers, teachers) if distilled else []
    cached = not isinstance(teachers, Missing) and any(isinstance(one, CachedTeacher) for one in teachers.values())
    if cached:
        viewed = run('cache', check_cache, config, teachers)
        config = config if isinstance(viewed, Missing) else viewed
    loop = config.get('train_cfg') or {}
    if not distilled and 'teacher' not in loop:
        run('teacher', lambda report: report.skipped('the config has none'))
    num_classes, ignore_index = (
        (0, IGNORE_INDEX) if isinstance(student, Missing) else (student.num_classes, student.ignore_index)
    )
    train, val = Missing('training data'), Missing('validation data')
    labeling = run('labeling', check_labeling, config, folder) if 'teacher' in loop else None
    if labeling is not None:
        run('trainings', check_trainings, labeling)
        train = run('training data', stand_in_loader, labeling)
        config = config if isinstance(labeling, Missing) else whole_length(labeling)
    else:
        train = run(
            'training data', check_data, config, 'train_dataloader', num_classes, ignore_index, samples, teachers
        )
    if config.get('val_dataloader') is None:
        run(
            'validation data',
            lambda report: report.skipped('the config has no val_dataloader, so there is no validation'),
        )
    else:
        val = run('validation data', check_data, config, 'val_dataloader', num_classes, ignore_index, samples)
        if labeling is None:  # otherwise, only some images have a stand-in
            run('overlap', check_overlap, train, val)
    loaders = dict(train_dataloader=train, val_dataloader=val)
    found = {key: loader for key, loader in loaders.items() if not isinstance(loader, Missing)}
    run('classes', check_classes, config, student, networks, found)
    run('ignore_index', check_ignore_index, config, student, networks)
    run('normalization', check_normalization, student, networks)
    loaded = run("teacher's weights", check_weights, networks, found) if distilled else []
    if distilled and partition_of(config) is not None:
        run("teacher's partition", check_partition, config)
    measured = []
    for network in [loaded] if isinstance(loaded, Missing) else loaded:
        measured.append(run("teacher's mIoU", check_accuracy, network, val, device, images, seconds, ignore_index))
        run("teacher's output", check_knowledge, network, measured[-1])
    if config.get('load_from') and not config.get('resume'):
        counted = [each for each in measured if not isinstance(each, Missing)]
        run("student's start", check_start, config, counted, val, images, seconds, ignore_index)

    model = run('model', check_model, config, device, teachers, needs=[student, networks])
    if cached:
        run('cache', check_cached_images, model, train)
    if labeling is None:
        run('batches', check_batches, config, model, train)
    optimizer = run('optimizer', check_optimizer, config, model)
    batch, loading = _pair(run('batch', check_batch, model, train, num_classes, ignore_index))
    parts = run('losses', check_losses, config, model, train, batch, needs=[loaded])
    run('unlabeled images', check_unlabeled, config, model, train, ignore_index, needs=[parts])
    run('unused parameters', check_unused, config, model, batch, distributed, needs=[parts])
    run('validation', check_validation, config, model, val)
    cost = run('step', check_cost, config, model, optimizer, train, batch, loading, parts, seconds, views)

    tables = {}
    mapped = '' if isinstance(networks, Missing) else class_table(networks)
    if mapped:
        tables['Classes of the student, and those of the teacher whose probabilities are added up'] = mapped
    if not isinstance(student, Missing):
        size = image_size(student.preprocessor)
        shapes = run('module table', _features, [student, *([] if isinstance(networks, Missing) else networks)], size)
        if not isinstance(shapes, Missing):
            title = f'Features that terms can read: channels x height x width for images of {size[0]}x{size[1]}'
            tables[title] = module_table(shapes)
    if not isinstance(parts, Missing):
        title = 'Losses: weighted values, and their gradients with respect to the parameters of the student'
        tables[title] = loss_table(parts, model)
    if not isinstance(cost, Missing) and distilled:
        tables[f'Cost of a step on {device}'] = cost_table(cost)
    return tables


def _features(report: Reporter, networks: Sequence[Network], size: Sequence[int]) -> dict[str, list[Feature]]:
    scales = [getattr(network.teacher, 'scale', 1) for network in networks]
    for network in networks:
        if network.teacher is None:
            as_trained(network.skeleton)
    return {
        network.label: features(network.skeleton, scaled_size(size, scale)) for network, scale in zip(networks, scales)
    }


def _pair(loaded: Any) -> tuple[Any, Any]:
    return (loaded, loaded) if isinstance(loaded, Missing) else loaded


@contextlib.contextmanager
def _undisturbed(config: Config) -> Iterator[None]:
    """Run with fixed random numbers and without other output, and restore all states at the end."""
    init_default_scope(config.get('default_scope') or 'mmseg')
    logger = MMLogger.get_current_instance()
    level, states = logger.level, (random.getstate(), np.random.get_state())
    # MMEngine's current instance is the latest one, so new instances must be removed.
    named = {kind: set(kind._instance_dict) for kind in (MMLogger, MessageHub, DefaultScope)}
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        logger.setLevel(logging.CRITICAL)
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        try:
            yield
        finally:
            logger.setLevel(level)
            for kind, names in named.items():
                for name in set(kind._instance_dict) - names:
                    del kind._instance_dict[name]
            random.setstate(states[0])
            np.random.set_state(states[1])
    if devices:
        gc.collect()
        torch.cuda.empty_cache()
