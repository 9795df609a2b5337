"""Numbers of pixels by class, of which IoU, F1 and accuracy are made."""

import numpy as np
import torch
from torch import Tensor

from ..constants import IGNORE_INDEX

Map = np.ndarray | Tensor


class ClassAreas:
    """Numbers of right, predicted and true pixels of every class, summed over label maps.

    Pixels that are ignored in either map do not count. The areas are exact: ``IoUMetric`` counts in float32, and so no
    further than 2 ** 24 pixels of a class.

    Args:
        num_classes: number of classes C.

    >>> areas = ClassAreas(3)
    >>> areas.update(np.array([[0, 0, 1]]), np.array([[0, 1, 255]]))
    >>> areas.iou
    array([0.5, 0. , nan])
    >>> areas.miou, areas.accuracy
    (0.25, 0.5)
    """

    def __init__(self, num_classes: int) -> None:
        self.right, self.predicted, self.true = np.zeros((3, num_classes), np.int64)

    def update(self, predicted: Map, truth: Map) -> None:
        """Count the pixels of a label map.

        Args:
            predicted: label map of any shape.
            truth: true label map of the same shape.

        Raises:
            ValueError: if the shapes differ, or a label is no class.
        """
        if predicted.shape != truth.shape:
            raise ValueError(
                f'predicted and true labels must have the same size, but have {tuple(predicted.shape)} and '
                f'{tuple(truth.shape)}; in a pipeline, LoadAnnotations must come after Resize'
            )
        predicted, truth = map(_as_tensor, (predicted, truth))
        kept = (predicted != IGNORE_INDEX) & (truth != IGNORE_INDEX)
        predicted, truth, count = predicted[kept], truth[kept], len(self.true)
        if not len(truth):
            return
        low, high = int(min(predicted.min(), truth.min())), int(max(predicted.max(), truth.max()))
        if low < 0 or high >= count:
            raise ValueError(
                f'labels must lie in 0..{count - 1} or be {IGNORE_INDEX} (ignored), but an image holds {low}..{high}; '
                'check reduce_zero_label and the label files'
            )
        for areas, labels in ((self.right, truth[predicted == truth]), (self.predicted, predicted), (self.true, truth)):
            areas += torch.bincount(labels, minlength=count).cpu().numpy()

    def __iadd__(self, other: 'ClassAreas') -> 'ClassAreas':
        for mine, theirs in ((self.right, other.right), (self.predicted, other.predicted), (self.true, other.true)):
            mine += theirs
        return self

    @property
    def pixels(self) -> int:
        """Number of pixels that count."""
        return int(self.true.sum())

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of every class (C,), in [0, 1]; NaN for a class in neither map."""
        return _share(self.right, self.predicted + self.true - self.right)

    @property
    def fscore(self) -> np.ndarray:
        """F1 of every class (C,), in [0, 1]; NaN for a class in neither map."""
        return _share(2 * self.right, self.predicted + self.true)

    @property
    def miou(self) -> float:
        """Mean IoU of the classes in either map; NaN if no pixel counts."""
        return float(np.nanmean(self.iou)) if self.pixels else np.nan

    @property
    def accuracy(self) -> float:
        """Share of the pixels that are right, in [0, 1]; NaN if no pixel counts."""
        return float(self.right.sum() / self.pixels) if self.pixels else np.nan


def _as_tensor(labels: Map) -> Tensor:
    return labels.long() if isinstance(labels, Tensor) else torch.from_numpy(labels.astype(np.int64))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
