"""How good labels are: against the truth where there is one, and against each other."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import all_reduce, get_dist_info
from torch import Tensor

from ..distillers.class_logits import decide
from .class_areas import ClassAreas


class Quality(NamedTuple):
    """Of label maps against others.

    Args:
        miou: mean over the classes that occur in either, in percent.
        accuracy: share of the pixels that agree, in percent.
        iou: of every class, in percent; NaN for one that occurs in neither.
        judged: share of the pixels that could be judged, in percent: those that are void in neither.
        fscore: mean F1 over the same classes, in percent, as ``mFscore`` of ``IoUMetric``.
    """

    miou: float
    accuracy: float
    iou: dict[str, float]
    judged: float
    fscore: float


def judge(pairs: Iterable[tuple[np.ndarray, np.ndarray]], classes: Sequence[str]) -> Quality:
    """Compare label maps with the truth, over all images at once.

    Args:
        pairs: label map and truth of each image, (H, W) both, with classes 0.. and 255 for void.
        classes: names.

    Raises:
        ValueError: if a map and its truth differ in size, or hold other classes.
    """
    areas, pixels = ClassAreas(len(classes)), 0
    for labels, truth in pairs:
        areas.update(labels, truth)
        pixels += labels.size
    return Quality(
        miou=100 * areas.miou,
        accuracy=100 * areas.accuracy,
        iou=dict(zip(classes, (100 * areas.iou).tolist())),
        judged=100.0 * areas.pixels / pixels if pixels else float('nan'),
        fscore=100 * float(np.nanmean(areas.fscore)) if areas.pixels else float('nan'),
    )


def agreement(first: Callable[[str], Tensor], second: Callable[[str], Tensor], paths: Sequence[str]) -> float:
    """Share of the pixels, in percent, that two networks give the same class; each process takes its share of the
    images.

    Args:
        first: gives the probabilities (C, H, W) of the image at a path; its ``foreground_threshold`` decides, if it has
            one.
        second: the same of the other network.
        paths: of the images.
    """
    rank, processes = get_dist_info()
    counts = torch.zeros(2, dtype=torch.float64)
    for path in paths[rank::processes]:
        one, other = (decide(label(path), getattr(label, 'foreground_threshold', None))[1] for label in (first, second))
        equal = one == other
        counts += torch.tensor([float(equal.sum()), equal.numel()], dtype=torch.float64)
    all_reduce(counts)
    return float(100 * counts[0] / counts[1])
