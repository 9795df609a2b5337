"""Ignored pixels: losses and analyses see them as 255, whatever label a segmentor's head ignores."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from torch import Tensor, nn

from ..constants import IGNORE_INDEX

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
