from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import class_masks


@MODELS.register_module()
class IDDInterClassDistanceLoss(DistillLoss):
    r"""Match the distances between the centers of the classes in an image.

    .. math:: L = \frac{1}{|I|} \sum_{n \in I} \frac{1}{|J_n|} \sum_{(k, l) \in J_n} (e^s_{nkl} - e^t_{nkl})^2, \qquad
        e_{nkl} = \|v_{nk} - v_{nl}\|_2

    with :math:`v_{nk}` the mean feature of class k in image n, :math:`J_n` the pairs of different classes that occur in
    the image, and I the images with at least one pair. Centers that coincide get no gradient from their pair.

    Args:
        min_pixels: The smallest number of pixels (of the features) with which a class counts as occurring in an image.

    Shape:
        Features (N, C, H, W) of student and teacher, channels may differ; labels (N, h, w). A scalar in squared units
        of the features, whose scale therefore matters; 0 if no image has two classes.

    Raises:
        ValueError: if ``min_pixels`` is less than 1, batch or spatial sizes differ, or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import IDDInterClassDistanceLoss
        >>> student, teacher = torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.0, 3.0]]]])
        >>> loss = IDDInterClassDistanceLoss()(student, teacher, labels=torch.tensor([[[0, 1]]]))
        >>> round(loss.item(), 4)  # distances of 1 and 3
        4.0

    Paper: Zhang et al., "Distilling Inter-Class Distance for Semantic Segmentation" (IJCAI 2022, arXiv 2205.03650). No
    code of the authors is known and only the abstract was read: the principle is theirs; the averages over pairs and
    images are a reconstruction. A third party's code takes half the sum over all pairs, and counts classes that do not
    occur as if their center were 0.
    """

    needs_labels = True
    needs_equal_channels = False

    def __init__(self, min_pixels: int = 1) -> None:
        super().__init__()
        if min_pixels < 1:
            raise ValueError(f'IDDInterClassDistanceLoss: min_pixels must be >= 1, but is {min_pixels}')
        self.min_pixels = min_pixels

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        masks = class_masks(labels, self.classes, student.dtype)
        counts = masks.sum(1)
        pairs = self._pairs(counts)
        student, teacher = (_distances(x, masks / counts.clamp_min(1)[:, None]) for x in (student, teacher))
        squares = torch.where(pairs, student - teacher, 0).square().sum((1, 2))
        numbers = pairs.sum((1, 2))
        return (squares / numbers.clamp_min(1)).sum() / (numbers > 0).sum().clamp_min(1)

    def count(self, student: Tensor, teacher: Tensor, labels: Any = None) -> Tensor:
        """The images with at least one pair."""
        return self._pairs(class_masks(labels, self.classes, torch.float).sum(1)).any(2).any(1).sum()

    def _pairs(self, counts: Tensor) -> Tensor:
        """Booleans (N, K, K) of the pairs of classes that occur, from their numbers of pixels (N, K)."""
        occurs = counts >= self.min_pixels
        return (occurs[:, :, None] & occurs[:, None]).triu(1)


def _distances(features: Tensor, weights: Tensor) -> Tensor:
    """Distances (N, K, K) between the means of features (N, C, H, W) under the weights (N, P, K)."""
    centers = (features.flatten(2) @ weights).transpose(1, 2)
    # From differences: the product form would lose digits where centers lie close together.
    return torch.cdist(centers, centers, compute_mode='donot_use_mm_for_euclid_dist')
