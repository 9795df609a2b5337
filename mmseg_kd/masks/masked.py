"""Any loss, on some of the pixels."""

from abc import abstractmethod

import torch
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..losses.base import AdversarialLoss, DistillLoss, Maps, pairs
from ..losses.ops import sample_labels


class MaskedLoss(DistillLoss):
    r"""Computes another loss on some of the pixels; a subclass says on which.

    To a loss with labels, the other pixels are void. For one without, the student is taken to agree with the teacher
    there: :math:`L(m f^s + (1 - m) f^t, f^t) / \bar m`, with m one for the pixels that count and zero elsewhere. So
    what compares pixels one by one, and averages, gives the mean over those that count; what compares regions still
    sees the teacher around them.

    Args:
        loss: config of a :class:`~mmseg_kd.losses.DistillLoss` that is 0 where student and teacher agree, or that has
            labels.

    Shape:
        maps of student and teacher as the loss takes them; labels (N, H, W) at any resolution. A scalar in the units of
        the loss; 0 if no pixel counts.

    Raises:
        ValueError: if the loss has a critic, which judges whole maps.
    """

    needs_labels = True

    def __init__(self, loss: dict) -> None:
        super().__init__()
        self.loss: DistillLoss = MODELS.build(loss)
        name = type(self).__name__
        if isinstance(self.loss, AdversarialLoss):
            raise ValueError(f'{name}: the critic of {loss["type"]} judges whole maps; give the term that loss alone')

    @property
    def needs_equal_channels(self) -> bool:
        """Maps without labels are mixed, for which their channels must be equal."""
        return self.loss.needs_equal_channels or not self.loss.needs_labels

    @abstractmethod
    def counted(self, student: Maps, teacher: Maps, labels: Tensor | None) -> Tensor:
        """Which pixels count, (N, h, w) booleans at any resolution, from maps and labels at full resolution."""

    def compared(self, student: Maps, teacher: Maps) -> Maps:
        """The maps of the teacher that the loss compares: all, unless a subclass takes one for itself."""
        return teacher

    def setup(self, student: Maps, teacher: Maps) -> None:
        self.loss.classes = self.classes
        self.loss.setup(student, self.compared(student, teacher))

    def check(self, student: Maps, teacher: Maps) -> None:
        teacher = self.compared(student, teacher)
        super().check(student, teacher)
        self.loss.check(student, teacher)

    def sample(self, labels: Tensor, size: torch.Size) -> Tensor:
        """Labels keep their resolution: the loss inside samples them in its own way."""
        return labels

    def compute(self, student: Maps, teacher: Maps, labels: Tensor | None = None) -> Tensor:
        counted, teacher = self.counted(student, teacher, labels), self.compared(student, teacher)
        if self.loss.needs_labels:
            size = (student if isinstance(student, Tensor) else student[0]).shape[-2:]
            labels = self.loss.sample(labels, size)
            return self.loss.compute(student, teacher, labels.where(_sample(counted, labels.shape[1:]), IGNORE_INDEX))
        masks = [_sample(counted, s.shape[2:])[:, None] for s, _ in pairs(student, teacher)]
        mixed = tuple(torch.where(mask, s, t) for mask, (s, t) in zip(masks, pairs(student, teacher)))
        share = masks[0].to(mixed[0].dtype).mean()
        value = self.loss.compute(mixed[0] if isinstance(student, Tensor) else mixed, teacher)
        return torch.where(share > 0, value / share.clamp_min(1 / masks[0].numel()), 0 * value)


def _sample(mask: Tensor, size: torch.Size) -> Tensor:
    return sample_labels(mask.byte(), size).bool()
