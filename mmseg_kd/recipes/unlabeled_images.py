"""Unlabeled images beside the labeled ones of a training."""

import os
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import DATASETS, MODELS

from ..constants import IGNORE_INDEX
from ..datasets import UnlabeledFolderDataset
from ..io.data_sets import innermost_config
from ..io.errors import ConfigError

DEFAULT_LOSS = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)  # of MMSegmentation's heads
BY_TEACHER = dict(type='LoadUnknownAnnotations')
METAINFO = ('classes', 'palette', 'label_map', 'reduce_zero_label')  # of any data set of MMSegmentation


def with_unlabeled(dataset: dict[str, Any], folder: str, labels: dict[str, Any] = BY_TEACHER) -> dict[str, Any]:
    """The config of a data set that joins a training set with unlabeled images.

    The unlabeled images get the augmentation of the labeled ones. Where they are more, the labeled ones are repeated,
    so that about half of every batch has labels.

    Args:
        dataset: Config of the labeled training set, with its pipeline. Wrappers may repeat, join or balance it.
        folder: Folder of unlabeled images; subfolders are searched too.
        labels: Config of the transform in place of ``LoadAnnotations``; see :func:`no_labels`.

    Raises:
        ConfigError: If the folder has no images, or the training set has no pipeline from ``LoadAnnotations`` to
            ``PackSegInputs``, as in data sets that mix images.
    """
    types = [_name(step) for step in innermost_config(dataset).get('pipeline') or ()]
    missing = [name for name in ('LoadAnnotations', 'PackSegInputs') if name not in types]
    if missing:
        raise ConfigError(
            'train_dataloader.dataset must have a pipeline with LoadAnnotations and PackSegInputs for --unlabeled, '
            f'but has no {" and no ".join(missing)}; take a data set that does not mix images, or leave the option out'
        )
    pipeline = [labels if _name(step) == 'LoadAnnotations' else step for step in innermost_config(dataset)['pipeline']]
    try:
        unlabeled = UnlabeledFolderDataset(folder)
    except ValueError as error:
        raise ConfigError(f'--unlabeled: {error}') from error
    labeled = DATASETS.build(dataset)
    times = max(1, round(len(unlabeled) / len(labeled)))
    return dict(
        type='ConcatDataset',
        ignore_keys=sorted({*METAINFO, *labeled.metainfo}),  # unlabeled images have no classes
        datasets=[
            dict(type='RepeatDataset', times=times, dataset=dataset),
            dict(type='UnlabeledFolderDataset', folder=os.path.abspath(folder), pipeline=pipeline),
        ],
    )


def no_labels(ignore_index: int) -> dict[str, Any]:
    """The config of a transform for images from which only terms learn.

    Args:
        ignore_index: The label that the student's losses ignore.

    Example:
        >>> no_labels(255), no_labels(0)
        ({'type': 'LoadVoidAnnotations'}, {'type': 'LoadVoidAnnotations', 'ignore_index': 0})
    """
    default = ignore_index == IGNORE_INDEX
    return dict(type='LoadVoidAnnotations', **({} if default else dict(ignore_index=ignore_index)))


def average_over_labeled_pixels(model: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Make the cross-entropies of a student means over the labeled pixels.

    MMSegmentation's mean counts ignored pixels as well, so images of ignored pixels would weaken the labels of the
    others. With ``class_weight``, it is a mean over the labeled pixels already.

    Args:
        model: Config of the student, which is changed.

    Returns:
        dict: The changed losses by their key in ``model``.

    Example:
        >>> average_over_labeled_pixels(dict(decode_head=dict(loss_decode=dict(type='CrossEntropyLoss'))))
        {'decode_head.loss_decode': {'type': 'CrossEntropyLoss', 'avg_non_ignore': True}}
    """
    changed = {}
    for part in ('decode_head', 'auxiliary_head'):
        for place, head in _listed(part, model.get(part) or ()):
            if 'loss_decode' not in head and _has_default_loss(head):
                head['loss_decode'] = dict(DEFAULT_LOSS)
            for key, loss in _listed(f'{place}.loss_decode', head.get('loss_decode') or ()):
                if _name(loss).rpartition('.')[2] == 'CrossEntropyLoss' and loss.get('class_weight') is None:
                    loss['avg_non_ignore'] = True
                    changed[key] = loss
    return changed


def _has_default_loss(head: dict[str, Any]) -> bool:
    """Whether a head has a loss for each pixel if its config names none. Mask classifiers have others."""
    kind = MODELS.get(head['type']) if isinstance(head['type'], str) else head['type']
    return kind is not None and issubclass(kind, BaseDecodeHead)


def _listed(key: str, value: dict | list | tuple) -> list[tuple[str, dict]]:
    return (
        [(f'{key}[{i}]', each) for i, each in enumerate(value)] if isinstance(value, (list, tuple)) else [(key, value)]
    )


def _name(config: dict[str, Any]) -> str:
    """The name of what a config builds; in MMEngine's new style, ``type`` is the class itself."""
    return getattr(config['type'], '__name__', config['type'])
