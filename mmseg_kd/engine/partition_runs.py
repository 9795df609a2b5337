"""Runs on one partition of the labels, and teachers of the same partition."""

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
    """The partition that selects a config's labeled images; None if all are labeled.

    Args:
        config: Config of a training.
    """
    return ((config.get('train_dataloader') or {}).get('dataset') or {}).get('partition')


def follow_partition(config: Config, file: Config, name: str) -> str:
    """Adapt work directory and teacher checkpoints of a run whose partition was changed on the command line.

    The config file names teachers that were trained on its own partition. For another partition, the teacher's
    checkpoint is expected in ``work_dirs/<config>_<part>/``, where a training with the same option writes it.
    Checkpoints from the command line, and those of teachers that were trained on all labels, are not changed.

    Args:
        config: Config merged with the options of the command line; changed in place.
        file: Config as written in the file.
        name: Name of the config.

    Returns:
        str: the name of the run's folder in ``work_dirs``.
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
    """Compare the partition of a run with the partitions in the checkpoints of its teachers.

    Args:
        config: Config of the run.

    Returns:
        list[str]: keys of the compared teachers. Checkpoints without a config are skipped.

    Raises:
        ValueError: If a teacher was trained on another partition.
        CheckpointError: If a checkpoint is missing or unsafe.
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
    """The partition in the config that MMEngine stores in its checkpoints; the config is parsed, not executed."""
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
