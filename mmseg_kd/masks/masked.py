"""Any loss, on some of the pixels."""

from abc import abstractmethod
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..io.arguments import build
from ..losses.base import AdversarialLoss, DistillLoss, Maps, pairs
from ..losses.ops import sample_labels


class MaskedLoss(DistillLoss):
    r"""Compute another loss on some of the pixels; a subclass selects them.

    For a loss with labels, the other pixels are ignored. For a loss without labels, the student is replaced by the
    teacher there: :math:`L(m f^s + (1 - m) f^t, f^t) / \bar m`, with m one for the selected pixels and zero elsewhere.
    A loss that compares pixels one by one, and averages, thus gives the mean over the selected pixels; a loss that
    compares regions still sees the teacher around them.

    Args:
        loss: The config of a :class:`~mmseg_kd.losses.DistillLoss` that is 0 where student and teacher agree, or that
            has labels.

    Shape:
        Maps of student and teacher in the shapes of the inner loss; labels (N, H, W) at any resolution. A scalar in the
        units of the inner loss; 0 if no pixel is selected.

    Raises:
        ValueError: if the inner loss has an auxiliary module, which reads whole maps.
    """

    needs_labels = True

    def __init__(self, loss: dict) -> None:
        super().__init__()
        self.loss: DistillLoss = build(MODELS, loss, 'loss', DistillLoss, 'a loss between student and teacher')
        name = type(self).__name__
        if isinstance(self.loss, AdversarialLoss):
            raise ValueError(
                f'{name}: the auxiliary module of {loss["type"]} reads whole maps; use that loss without a mask'
            )

    @property
    def needs_equal_channels(self) -> bool:  # type: ignore[override]  # a constant of other losses
        """Maps without labels are mixed, which needs equal channels."""
        return self.loss.needs_equal_channels or not self.loss.needs_labels

    @abstractmethod
    def counted(self, student: Maps, teacher: Maps, labels: Any) -> Tensor:
        """Booleans (N, h, w), at any resolution, of the selected pixels, from the maps and the labels at full
        resolution.
        """

    def compared(self, student: Maps, teacher: Maps) -> Maps:
        """The teacher's maps that the inner loss compares: all, unless a subclass uses one for the selection."""
        return teacher

    def setup(self, student: Maps, teacher: Maps) -> None:
        self.loss.classes = self.classes
        self.loss.setup(student, self.compared(student, teacher))

    def check(self, student: Maps, teacher: Maps) -> None:
        teacher = self.compared(student, teacher)
        super().check(student, teacher)
        self.loss.check(student, teacher)

    def sample(self, labels: Tensor, size: torch.Size) -> Tensor:
        """Labels keep their resolution: the inner loss samples them in its own way."""
        return labels

    def count(self, student: Maps, teacher: Maps, labels: Any = None) -> Tensor:
        counted, teacher = self.counted(student, teacher, labels), self.compared(student, teacher)
        if self.loss.needs_labels:
            return self.loss.count(student, teacher, self._masked_labels(student, labels, counted))
        size = (student if isinstance(student, Tensor) else student[0]).shape[2:]
        return self.loss.count(student, teacher) * _sample(counted, size).float().mean()

    def compute(self, student: Maps, teacher: Maps, labels: Any = None) -> Tensor:
        counted, teacher = self.counted(student, teacher, labels), self.compared(student, teacher)
        if self.loss.needs_labels:
            return self.loss.compute(student, teacher, self._masked_labels(student, labels, counted))
        masks = [_sample(counted, s.shape[2:])[:, None] for s, _ in pairs(student, teacher)]
        mixed = tuple(torch.where(mask, s, t) for mask, (s, t) in zip(masks, pairs(student, teacher)))
        share = masks[0].to(mixed[0].dtype).mean()
        value = self.loss.compute(mixed[0] if isinstance(student, Tensor) else mixed, teacher)
        return torch.where(share > 0, value / share.clamp_min(1 / masks[0].numel()), 0 * value)

    def _masked_labels(self, student: Maps, labels: Tensor, counted: Tensor) -> Tensor:
        """Labels as the inner loss samples them, with 255 on the pixels that are not selected."""
        labels = self.loss.sample(labels, (student if isinstance(student, Tensor) else student[0]).shape[-2:])
        return labels.where(_sample(counted, labels.shape[1:]), IGNORE_INDEX)


def _sample(mask: Tensor, size: torch.Size) -> Tensor:
    return sample_labels(mask.byte(), size).bool()
