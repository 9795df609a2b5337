from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import class_masks
from .prototypes import prototypes


@MODELS.register_module()
class APDPrototypeLoss(DistillLoss):
    r"""Match the directions of the class prototypes of the batch: half the mean over classes of one minus their cosine.

    .. math:: L = \frac{1}{2 K} \sum_k (1 - c^s_k \cdot c^t_k)

    with the prototypes c of :class:`APDContextLoss` and K the number of classes that occur. The batch is that of
    one process.

    Shape:
        Features (N, C, H, W) of student and teacher, equal channels; labels (N, h, w). A scalar in 0 to 1; 0 if all
        pixels are ignored.

    Raises:
        ValueError: if shapes differ, or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import APDPrototypeLoss
        >>> student, teacher = torch.eye(2).view(1, 2, 1, 2), -torch.eye(2).view(1, 2, 1, 2)
        >>> APDPrototypeLoss()(student, teacher, labels=torch.tensor([[[0, 1]]])).item()  # opposite directions
        1.0

    Paper: as :class:`APDContextLoss`, weight 10.
    """

    needs_labels = True

    def count(self, student: Tensor, teacher: Tensor, labels: Any = None) -> Tensor:
        """The classes that occur."""
        return class_masks(labels, self.classes, torch.float).any(1).any(0).sum()

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        masks = class_masks(labels, self.classes, student.dtype)
        ours, theirs = (prototypes(x, masks) for x in (student, teacher))
        cosines = (ours * theirs).sum(0)
        occurs = masks.sum((0, 1)) > 0
        return 0.5 * torch.where(occurs, 1 - cosines, 0).sum() / occurs.sum().clamp_min(1)
