"""Ignored pixels: losses and analyses see them as 255, whatever label a segmentor's head ignores."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from mmengine.structures import PixelData
from torch import Tensor, nn

from ..constants import IGNORE_INDEX, UNKNOWN_INDEX
from ..io.errors import ConfigError

Labels = TypeVar('Labels', Tensor, np.ndarray)


def ignored_label(segmentor: nn.Module | dict) -> int:
    """The label that a segmentor's decode head (the last one of a cascade) ignores; 255 if it has none.

    Args:
        segmentor: The segmentor or its config.
    """
    head: Any = segmentor.get('decode_head') if isinstance(segmentor, dict) else getattr(segmentor, 'decode_head', None)
    if isinstance(head, (list, tuple, nn.ModuleList)):
        head = head[-1]
    if head is None:
        return IGNORE_INDEX
    label = head.get('ignore_index') if isinstance(head, dict) else getattr(head, 'ignore_index', None)
    return IGNORE_INDEX if label is None else label


def unify_ignored(labels: Labels, ignored: int) -> Labels:
    """Label maps with 255 in place of the ignored label; the same object if it is 255 already."""
    if ignored == IGNORE_INDEX:
        return labels
    if isinstance(labels, Tensor):
        return labels.masked_fill(labels == ignored, IGNORE_INDEX)
    return np.where(labels == ignored, labels.dtype.type(IGNORE_INDEX), labels)


def fill_unknown(sample: Any, classes: Tensor | int) -> Any:
    """A copy of a data sample with classes where its label is unknown. Edges between unknown labels (``gt_edge_map``)
    are ignored.

    Args:
        sample: The ``SegDataSample``.
        classes: The class of each pixel (1, H, W), or of all.
    """
    labels = sample.gt_sem_seg.data
    unknown = labels == UNKNOWN_INDEX
    filled = sample.new()
    filled.gt_sem_seg = PixelData(data=torch.where(unknown, classes, labels).to(labels.dtype))
    if 'gt_edge_map' in sample:
        filled.gt_edge_map = PixelData(data=sample.gt_edge_map.data.masked_fill(unknown, IGNORE_INDEX))
    return filled


def check_no_unknown(labels: Tensor, classes: int, model: str) -> None:
    """Refuse labels that only a :class:`LabelingDistiller` replaces.

    Args:
        labels: Labels of any shape.
        classes: The number of classes.
        model: The type of the model.

    Raises:
        ConfigError: if there are such labels.
    """
    if classes <= UNKNOWN_INDEX and (labels == UNKNOWN_INDEX).any():
        raise ConfigError(
            f'model.type must be LabelingDistiller for images of LoadUnknownAnnotations, whose labels are '
            f'{UNKNOWN_INDEX}, but is {model}; change it, or load these images with LoadVoidAnnotations'
        )
