"""Accuracy, calibration and entropy of a network's output."""

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..labeling.class_areas import ClassAreas

CALIBRATION_BINS = 15
ENTROPY_BINS = 200
PIXELS_AT_ONCE = 1 << 16


class OutputStatistics:
    r"""Accuracy, calibration and entropy of a segmentor's output, over any number of pixels, in constant memory.

    From the logits :math:`z` and :math:`p^T = softmax(z / T)` of all pixels that are not ignored, it counts the
    predicted and the true class; the confidence, which is :math:`p^1` of the predicted class, in 15 bins of equal
    width; and for each temperature the entropy :math:`H_T = -\sum_c p^T_c \log p^T_c` in 200 bins from 0 to its
    maximum, :math:`\log C`. The sum of two objects counts the pixels of both.

    Args:
        num_classes: Number of classes C.
        temperatures: Temperatures of the softened output.

    Raises:
        ValueError: If there are fewer than two classes, or if the temperatures are not different numbers > 0.

    Example:
        >>> statistics = OutputStatistics(2, [1])
        >>> statistics.update(torch.tensor([[[0.9, 0.9]], [[0.1, 0.1]]]).log(), torch.tensor([[0, 1]]))
        >>> f'{statistics.accuracy:.2f} {statistics.confidence:.2f} {statistics.ece:.2f}'
        '0.50 0.90 0.40'
    """

    def __init__(self, num_classes: int, temperatures: Sequence[float]) -> None:
        if num_classes < 2:
            raise ValueError(
                f'entropy needs at least 2 logits per pixel, but the network has {num_classes}; set '
                'decode_head.out_channels to the number of classes'
            )
        if not temperatures or min(temperatures) <= 0 or len(set(temperatures)) < len(temperatures):
            raise ValueError(f'temperatures must be different numbers > 0, at least one, but are {list(temperatures)}')
        self.num_classes = num_classes
        self.temperatures = list(temperatures)
        self.images = 0
        self._areas = ClassAreas(num_classes)
        self._pixels, self._hits = np.zeros((2, CALIBRATION_BINS), np.int64)
        self._confidence = np.zeros(CALIBRATION_BINS)
        self._histogram = np.zeros((len(temperatures), ENTROPY_BINS), np.int64)
        self._entropy = np.zeros(len(temperatures))

    def __add__(self, other: 'OutputStatistics') -> 'OutputStatistics':
        both = copy.deepcopy(self)
        both.images += other.images
        for name in ('_areas', '_pixels', '_hits', '_confidence', '_histogram', '_entropy'):
            mine = getattr(both, name)
            mine += getattr(other, name)
        return both

    def update(self, logits: Tensor, labels: Tensor, predicted: Tensor | None = None) -> None:
        """Count one image.

        Args:
            logits: Logits (C, H, W).
            labels: Classes (H, W), 255 for ignored pixels.
            predicted: Predicted classes (H, W); None for the most probable ones.

        Raises:
            ValueError: If the sizes differ, a label is no class, or a logit is not finite.
        """
        if logits.shape[1:] != labels.shape:
            raise ValueError(
                f'labels must have the size of the original image, {tuple(logits.shape[1:])}, but have '
                f"{tuple(labels.shape)}; put LoadAnnotations after Resize in val_dataloader's pipeline"
            )
        predicted = logits.argmax(0) if predicted is None else predicted
        logits, labels, predicted = logits.flatten(1), labels.flatten().to(logits.device), predicted.flatten()
        kept = labels != IGNORE_INDEX
        # In chunks, because all temperatures together need several times the memory of the logits.
        for start in range(0, labels.numel(), PIXELS_AT_ONCE):
            chunk = slice(start, start + PIXELS_AT_ONCE)
            inside = kept[chunk]
            self._count(
                logits[:, chunk][:, inside].float(), labels[chunk][inside].long(), predicted[chunk][inside].to(labels)
            )
        self.images += 1

    def _count(self, logits: Tensor, labels: Tensor, predicted: Tensor) -> None:
        if not torch.isfinite(logits).all():
            raise ValueError("the teacher's logits must be finite, but some are not; check its checkpoint and dtype")
        confidence = logits.softmax(0).gather(0, predicted[None].long())[0]
        self._areas.update(predicted, labels)
        # A bin excludes its lower edge and includes its upper one, as in Guo et al.
        bins = (confidence * CALIBRATION_BINS).ceil().long().sub(1).clamp(0, CALIBRATION_BINS - 1)
        self._pixels += _histogram(bins, CALIBRATION_BINS)
        self._hits += _histogram(bins[predicted == labels], CALIBRATION_BINS)
        self._confidence += _histogram(bins, CALIBRATION_BINS, confidence)
        for i, temperature in enumerate(self.temperatures):
            log_p = F.log_softmax(logits / temperature, dim=0)
            entropy = -(log_p.exp() * log_p).sum(0)
            bins = (entropy * (ENTROPY_BINS / math.log(self.num_classes))).long().clamp(0, ENTROPY_BINS - 1)
            self._histogram[i] += _histogram(bins, ENTROPY_BINS)
            self._entropy[i] += entropy.double().sum().item()

    @property
    def pixels(self) -> int:
        """Number of counted pixels."""
        return int(self._pixels.sum())

    @property
    def max_entropy(self) -> float:
        """log C, in nats."""
        return math.log(self.num_classes)

    @property
    def iou(self) -> np.ndarray:
        """IoU of every class (C,), in [0, 1]; NaN for classes that neither occur nor are predicted."""
        return self._areas.iou

    @property
    def miou(self) -> float:
        """Mean IoU of the classes that occur or are predicted, in [0, 1]."""
        return self._areas.miou

    @property
    def accuracy(self) -> float:
        """Share of correct pixels, in [0, 1]."""
        return self._areas.accuracy

    @property
    def confidence(self) -> float:
        """Mean confidence, in [0, 1]; a calibrated network's equals its accuracy."""
        return float(self._confidence.sum() / self.pixels)

    @property
    def ece(self) -> float:
        r"""Expected calibration error :math:`\sum_b n_b / n \, |accuracy_b - confidence_b|`, in [0, 1].

        Guo et al., "On Calibration of Modern Neural Networks" (arXiv 1706.04599), over pixels.
        """
        return float(np.abs(self._hits - self._confidence).sum() / self.pixels)

    def reliability(self) -> list[tuple[float, float, int, float, float]]:
        """Lower and upper edge, pixels, accuracy and mean confidence (NaN if empty) of every bin of confidence."""
        with np.errstate(invalid='ignore'):
            accuracy, confidence = self._hits / self._pixels, self._confidence / self._pixels
        edges = np.arange(CALIBRATION_BINS + 1) / CALIBRATION_BINS
        return [
            (float(edges[i]), float(edges[i + 1]), int(self._pixels[i]), float(accuracy[i]), float(confidence[i]))
            for i in range(CALIBRATION_BINS)
        ]

    def shares(self, bins: int = ENTROPY_BINS) -> np.ndarray:
        """Shares of pixels (temperatures, bins) by entropy, in equal bins from 0 to log C; each row sums to 1.

        Raises:
            ValueError: If 200 is no multiple of ``bins``.
        """
        if bins < 1 or ENTROPY_BINS % bins:
            raise ValueError(f'bins must divide {ENTROPY_BINS}, but is {bins}')
        return self._histogram.reshape(len(self.temperatures), bins, -1).sum(-1) / self.pixels

    def mean_entropy(self) -> np.ndarray:
        """Mean entropy at each temperature as a share of log C, in [0, 1]."""
        return self._entropy / self.pixels / self.max_entropy

    def median_entropy(self) -> np.ndarray:
        """Median entropy at each temperature as a share of log C, with an error below 1 / 200."""
        medians = []
        for counts in self._histogram:
            above = np.cumsum(counts)
            i = int(np.searchsorted(above, self.pixels / 2))
            below = above[i] - counts[i]
            medians.append((i + (self.pixels / 2 - below) / counts[i]) / ENTROPY_BINS)
        return np.array(medians)


def _histogram(bins: Tensor, size: int, weights: Tensor | None = None) -> np.ndarray:
    weights = None if weights is None else weights.double()
    return torch.bincount(bins, weights=weights, minlength=size).cpu().numpy()
