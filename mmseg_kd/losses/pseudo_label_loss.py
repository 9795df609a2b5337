from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from .base import DistillLoss


@MODELS.register_module()
class PseudoLabelLoss(DistillLoss):
    r"""Learn the teacher's most likely class as if it were the label.

    .. math:: L = -\frac{\sum_{p \in V} w_{y_p} \log \mathrm{softmax}_c(z^s_p)_{y_p}}{\sum_{p \in V} w_{y_p}},
        \qquad y_p = \arg\max_c z^t_{pc}

    with V the pixels that are not ignored. Nothing else is read of the labels.

    Args:
        class_weight: The weight w of each class; None for 1. Where the student's own loss has ``class_weight``, take
            the same for labels of a frozen teacher, or frequent classes may drown the rare ones.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes; labels (N, H, W) at any resolution, 255 for ignored
        pixels (padding) and anything else for those that count. A scalar in nats; 0 if all pixels are ignored.

    Raises:
        ValueError: if the shapes differ, labels are missing, or ``class_weight`` is negative or has not one value per
            class.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import PseudoLabelLoss
        >>> student, teacher = torch.zeros(1, 2, 1, 2), torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
        >>> round(PseudoLabelLoss()(student, teacher, labels=torch.tensor([[[0, 255]]])).item(), 4)  # log 2
        0.6931

    Paper: Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision" (CVPR 2021, arXiv
    2106.01226), and Qin et al., "Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised Semantic
    Segmentation" (ECCV 2022, arXiv 2208.10169), the pixel level. Both take every pseudo-label, however sure the teacher
    is, and have no ``class_weight``. Deviations: their code resizes the logits to the images, here the grid is the
    student's; and their code counts all pixels, including padding and those whose true label is ignored.
    """

    needs_labels = True
    least_channels = 2

    def __init__(self, class_weight: Sequence[float] | None = None) -> None:
        super().__init__()
        if class_weight is not None and min(class_weight, default=0) < 0:
            raise ValueError(f'PseudoLabelLoss: class_weight must be >= 0, but is {list(class_weight)}')
        self.class_weight = class_weight

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        if self.class_weight is not None and len(self.class_weight) != student.shape[1]:
            raise ValueError(
                f'PseudoLabelLoss: class_weight must have one value for each of the {student.shape[1]} classes, '
                f'but has {len(self.class_weight)}'
            )

    def count(self, student: Tensor, teacher: Tensor, labels: Any = None) -> Tensor:
        """The sum of the weights of all pixels that count."""
        counted = labels != IGNORE_INDEX
        if self.class_weight is None:
            return counted.sum()
        return (teacher.new_tensor(self.class_weight)[teacher.argmax(1)] * counted).sum()

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        target = teacher.argmax(1).where(labels != IGNORE_INDEX, -100)
        weight = None if self.class_weight is None else student.new_tensor(self.class_weight)
        total = F.cross_entropy(student, target, weight, ignore_index=-100, reduction='sum')
        weights = self.count(student, teacher, labels)
        return total / weights.where(weights > 0, 1)
