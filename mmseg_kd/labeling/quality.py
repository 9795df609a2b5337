"""Quality of labels: compared with the ground truth, and with each other."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import all_reduce, get_dist_info
from torch import Tensor

from ..distillers.class_logits import decide
from .class_areas import ClassAreas


class Quality(NamedTuple):
    """Quality of label maps compared with the ground truth, in percent.

    Args:
        miou: Mean IoU over the classes that occur in the labels or in the ground truth.
        accuracy: Share of the compared pixels with the right class.
        iou: IoU of every class; NaN for classes that occur in neither.
        judged: Share of the pixels that were compared, which are ignored in neither map.
        fscore: Mean F1 over the same classes, as ``mFscore`` of ``IoUMetric``.

    Example:
        >>> Quality(miou=60.0, accuracy=90.0, iou={'road': 60.0}, judged=100.0, fscore=75.0).miou
        60.0
    """

    miou: float
    accuracy: float
    iou: dict[str, float]
    judged: float
    fscore: float


def judge(pairs: Iterable[tuple[np.ndarray, np.ndarray]], classes: Sequence[str]) -> Quality:
    """Compare label maps with the ground truth, accumulated over all images.

    Args:
        pairs: Label map and ground truth of each image, both (H, W) with classes from 0 on and 255 for ignored pixels.
        classes: Class names.

    Raises:
        ValueError: If a label map and its ground truth differ in size, or hold numbers that are no class.

    Example:
        >>> labels, truth = np.array([[0, 0, 1, 255]]), np.array([[0, 1, 1, 1]])
        >>> quality = judge([(labels, truth)], ['road', 'car'])
        >>> quality.miou, quality.iou, quality.judged
        (50.0, {'road': 50.0, 'car': 50.0}, 75.0)
    """
    areas, pixels = ClassAreas(len(classes)), 0
    for labels, truth in pairs:
        areas.update(labels, truth)
        pixels += labels.size
    return quality_of(areas, pixels, classes)


def quality_of(areas: ClassAreas, pixels: int, classes: Sequence[str]) -> Quality:
    """Quality of label maps whose pixels are counted.

    Args:
        areas: Areas of the classes.
        pixels: Number of all pixels, of which those that are ignored in neither map are compared.
        classes: Class names.

    Example:
        >>> areas = ClassAreas(1)
        >>> areas.update(np.array([0, 0]), np.array([0, 255]))
        >>> quality_of(areas, 2, ['road'])
        Quality(miou=100.0, accuracy=100.0, iou={'road': 100.0}, judged=50.0, fscore=100.0)
    """
    return Quality(
        miou=100 * areas.miou,
        accuracy=100 * areas.accuracy,
        iou=dict(zip(classes, (100 * areas.iou).tolist())),
        judged=100.0 * areas.pixels / pixels if pixels else float('nan'),
        fscore=100 * float(np.nanmean(areas.fscore)) if areas.pixels else float('nan'),
    )


def agreement(first: Callable[[str], Tensor], second: Callable[[str], Tensor], paths: Sequence[str]) -> float:
    """Share of the pixels, in percent, for which two networks predict the same class.

    The images are divided among the processes.

    Args:
        first: Function of an image's path that returns the probabilities (C, H, W), such as a
            :class:`~mmseg_kd.labeling.Labeler`. Its ``foreground_threshold`` is used if it has one.
        second: Function of the other network, of the same form.
        paths: Paths of the images.

    Example:
        >>> first, second = torch.tensor([[[0.9, 0.2]], [[0.1, 0.8]]]), torch.tensor([[[0.6, 0.7]], [[0.4, 0.3]]])
        >>> agreement(lambda path: first, lambda path: second, ['image.png'])
        50.0
    """
    rank, processes = get_dist_info()
    counts = torch.zeros(2, dtype=torch.float64)
    for path in paths[rank::processes]:
        one, other = (decide(label(path), getattr(label, 'foreground_threshold', None))[1] for label in (first, second))
        equal = one == other
        counts += torch.tensor([float(equal.sum()), equal.numel()], dtype=torch.float64)
    all_reduce(counts)
    return float(100 * counts[0] / counts[1])
