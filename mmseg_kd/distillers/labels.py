"""Ignored pixels: whatever a segmentor's head calls them, to losses and analyses they are 255."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from ..constants import IGNORE_INDEX


def ignored_label(segmentor: nn.Module | dict) -> int:
    """The label that a segmentor's decode head (the last one of a cascade) ignores; 255 if it does not say.

    Args:
        segmentor: a network or its config.
    """
    config = isinstance(segmentor, dict)
    head = segmentor.get('decode_head') if config else getattr(segmentor, 'decode_head', None)
    if isinstance(head, (list, tuple, nn.ModuleList)):
        head = head[-1]
    if head is None:
        return IGNORE_INDEX
    label = head.get('ignore_index') if config else getattr(head, 'ignore_index', None)
    return IGNORE_INDEX if label is None else label


def unify_ignored(labels: Tensor | np.ndarray, ignored: int) -> Tensor | np.ndarray:
    """Label maps with 255 in place of the label that is ignored; the very same ones if that is 255 already."""
    if ignored == IGNORE_INDEX:
        return labels
    if isinstance(labels, Tensor):
        return labels.masked_fill(labels == ignored, IGNORE_INDEX)
    return np.where(labels == ignored, labels.dtype.type(IGNORE_INDEX), labels)
