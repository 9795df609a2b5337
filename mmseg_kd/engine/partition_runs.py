"""Runs on one part of the labels, and the teachers of the same part."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..datasets.partitions import Partition, part_name
from ..distillers.teacher import teachers_by_name
from ..io.checkpoint import read_checkpoint
from ..io.configs import read_config


def partition_of(config: Config) -> Partition | None:
    """Which of its training images a config has labels of; None for all.

    Args:
        config: of a training.
    """
    return ((config.get('train_dataloader') or {}).get('dataset') or {}).get('partition')


def follow_partition(config: Config, file: Config, name: str) -> str:
    """Name what belongs to a run whose partition was changed on the command line.

    The teachers that the file names were trained on the partition that it names. Those of another partition lie where
    the same command with that partition puts them, in ``work_dirs/<config>_<part>/``. Checkpoints that the command line
    names stay as they are, and so do those of teachers that were trained on all labels.

    Args:
        config: with the options of the command line; changed in place.
        file: as the file has it.
        name: of the config.

    Returns:
        str: the name of the run's own folder in ``work_dirs``.
    """
    partition = partition_of(config)
    if partition is None or partition == partition_of(file):
        return name
    part = part_name(partition)
    for (_, before), (_, spec) in zip(_teachers(file), _teachers(config)):
        path = Path(spec.get('checkpoint') or '')
        own = path.parts[:1] == ('work_dirs',) and before.get('checkpoint') == spec['checkpoint']
        if own and partition_of(read_config(spec['config'])) is not None:
            spec['checkpoint'] = str(path.parent.with_name(f'{path.parent.name}_{part}') / path.name)
    return f'{name}_{part}'


def check_teacher_partitions(config: Config) -> list[str]:
    """Compare the partition of a run with those that its teachers were trained on, as their checkpoints tell.

    Args:
        config: of the run.

    Returns:
        list[str]: keys of the teachers that were compared. A checkpoint without the config of its training is not.

    Raises:
        ValueError: if a teacher was trained on another partition.
        CheckpointError: if a checkpoint is missing or unsafe.
    """
    partition, compared = partition_of(config), []
    for key, spec in _teachers(config) if partition is not None else ():
        path = spec.get('checkpoint')
        if path in (None, 'auto'):
            continue
        theirs = _trained_on(read_checkpoint(path))
        if theirs is None:
            continue
        if theirs != partition:
            raise ValueError(
                f'{key}.checkpoint must be of the same partition as train_dataloader.dataset.partition, '
                f'{partition!r}, but {path} was trained on {theirs!r}; train that teacher with --cfg-options '
                f'train_dataloader.dataset.partition={partition}, and name its checkpoint'
            )
        compared.append(key)
    return compared


def _teachers(config: Config) -> Iterator[tuple[str, dict]]:
    """The teachers of a config, each with its key."""
    teacher = (config.get('model') or {}).get('teacher')
    for name, members in (teachers_by_name(teacher) if teacher else {}).items():
        for spec in members if isinstance(members, (list, tuple)) else [members]:
            yield f'model.teacher.{name}'.rstrip('.'), spec


def _trained_on(checkpoint: dict) -> Partition | None:
    """The partition in the config that MMEngine writes into its checkpoints, which is read and never executed."""
    text = (checkpoint.get('meta') or {}).get('cfg')
    try:
        tree = ast.parse(text if isinstance(text, str) else '')
    except SyntaxError:
        return None
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'train_dataloader':
            loader = _literal(node.value)
            return (loader.get('dataset') or {}).get('partition') if isinstance(loader, dict) else None
    return None


def _literal(node: ast.AST) -> Any:
    """A literal of Python, with ``dict(...)`` as one; None for anything else."""
    if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict':
        return {item.arg: _literal(item.value) for item in node.keywords}
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
