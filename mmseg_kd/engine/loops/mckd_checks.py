"""Checks of the config of an MCKD run, before anything is labeled."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config

from ...constants import IGNORE_INDEX
from ...distillers.class_logits import count_classes
from ...distillers.labels import ignored_label
from ...io.data_sets import data_set_facts


def check_settings(num_stages: int, teacher: dict, group: str | None) -> None:
    """Check keys of ``train_cfg``, which :class:`~mmseg_kd.engine.MCKDLoop` explains.

    Raises:
        ValueError: if a value is impossible.
    """
    if not isinstance(num_stages, int) or num_stages < 0:
        raise ValueError(f'train_cfg.num_stages must be 0, 1, 2, ..., but is {num_stages}')
    if 'config' not in teacher or set(teacher) - {'config', 'checkpoint', 'class_map'}:
        raise ValueError(
            'train_cfg.teacher must be dict(config=..., checkpoint=...), with a class_map if need be, but has '
            f'{", ".join(sorted(teacher)) or "nothing"}'
        )
    if group is not None and re.compile(group).groups < 1:
        raise ValueError(
            f'train_cfg.group must be a regular expression with a group, such as "^([^_]+)_", but is {group}'
        )


def label_data_sets(node: Any) -> Iterator[dict]:
    """The configs of data sets that take labels (they have the key ``images``), inside wrappers and lists.

    Args:
        node: config of a data set.
    """
    if isinstance(node, dict):
        if 'images' in node:
            yield node
        else:
            for value in node.values():
                yield from label_data_sets(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from label_data_sets(value)


def label_data_set(dataset: dict) -> dict:
    """The config of the one data set that takes labels.

    Args:
        dataset: config of the training data.

    Raises:
        ValueError: if there is none, or more than one.
    """
    found = list(label_data_sets(dataset))
    if len(found) != 1:
        raise ValueError(
            'train_dataloader.dataset must hold one data set with the key "images" (PseudoLabelDataset), '
            f'but holds {len(found)}'
        )
    return found[0]


def check_soft_labels(pipeline: Sequence[dict], top_k: int, model: dict) -> None:
    """Check that soft labels are written where they are read, and read where the model needs them.

    Args:
        pipeline: transforms of the training images; they may be nested.
        top_k: number of classes whose probabilities are written.
        model: config of the model.

    Raises:
        ValueError: if soft labels are missing, or would be ignored.
    """
    names = set(type_names(pipeline))
    # Names may have a scope in front, and users' subclasses are named after our classes.
    present = {
        transform: any(name.endswith(transform) for name in names)
        for transform in ('LoadSoftLabels', 'PackSoftSegInputs')
    }
    if not top_k and present['LoadSoftLabels']:
        raise ValueError(
            'train_cfg.top_k must be 1, 2, 3, ... if the pipeline of train_dataloader.dataset has LoadSoftLabels, but '
            f'is {top_k}; set it, or remove LoadSoftLabels'
        )
    missing = [transform for transform, found in present.items() if not found]
    if missing and next(type_names(model), '').endswith('SoftLabelDistiller'):
        raise ValueError(
            'a SoftLabelDistiller learns from soft labels, but the pipeline of '
            f"train_dataloader.dataset has no dict(type='{missing[0]}'); add it, or use the student itself as model"
        )


def type_names(node: Any) -> Iterator[str]:
    """The names of all types in a config, outer ones first.

    >>> list(type_names([dict(type='RandomApply', transforms=[dict(type='LoadSoftLabels')])]))
    ['RandomApply', 'LoadSoftLabels']
    """
    if isinstance(node, dict):
        if 'type' in node:
            yield node['type'] if isinstance(node['type'], str) else node['type'].__name__
        node = list(node.values())
    for value in node if isinstance(node, (list, tuple)) else ():
        yield from type_names(value)


def check_classes(config: Config, classes: list[str], loop: str) -> None:
    """Check that teacher, student and validation have the same classes and the same label for ignored pixels.

    Args:
        config: config of the run.
        classes: names of the teacher's classes.
        loop: name of the training loop, for messages.

    Raises:
        ValueError: if they differ.
    """
    model = config.model.get('student') or config.model
    head = model.decode_head[-1] if isinstance(model.decode_head, (list, tuple)) else model.decode_head
    if count_classes(head) != len(classes):
        raise ValueError(
            f'teacher and student must have the same classes, but train_cfg.teacher has '
            f'{len(classes)} and the student {count_classes(head)}; set num_classes of the student, or '
            'take a teacher with the same classes'
        )
    if ignored_label(model) != IGNORE_INDEX:
        raise ValueError(
            f'model.decode_head.ignore_index must be {IGNORE_INDEX}, the value of ignored pixels in the labels that '
            f'{loop} writes, but is {ignored_label(model)}; leave it out'
        )
    loader = config.get('val_dataloader')
    if loader is None:
        return
    known = list(data_set_facts(loader.dataset, 'val_dataloader.dataset')[0].get('classes') or ())
    if known != classes and sorted(known) == sorted(classes):
        first = next(index for index, pair in enumerate(zip(known, classes)) if pair[0] != pair[1])
        raise ValueError(
            f'teacher and validation must have the classes in the same order, but class {first} is {classes[first]} in '
            f'train_cfg.teacher and {known[first]} in val_dataloader.dataset; reorder the classes (metainfo) of one'
        )
