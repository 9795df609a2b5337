from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .base import DistillLoss, check_same_shape
from .class_statistics import ClassStatistics
from .ops import IGNORE_INDEX, differentiable_zero

Student = Tuple[Tensor, Tensor, Tensor]


@MODELS.register_module()
class FAKDLoss(DistillLoss):
    r"""Distil the class distribution under all small changes of the student's features at once (feature augmentation).

    A feature of class y stands for a normal distribution around it, with ``strength`` times the variances
    :math:`\sigma_y^2` of the features of that class. The mean divergence from the teacher over that distribution is at
    most, by Jensen's inequality,

    .. math:: L = \frac{\tau^2}{|V|} \sum_{p \in V} \sum_c q_{pc} \Big( \log q_{pc} - \frac{z_{pc}}{\tau} + \log \sum_j
        \exp\Big( \frac{z_{pj}}{\tau} + \frac{\lambda}{2 \tau^2} \sum_d \sigma_{yd}^2 (w_{jd} - w_{cd})^2 \Big) \Big)

    with :math:`z = w f + b` the student's logits, q the teacher's softened distribution, and V the pixels that are not
    void. In training mode the variances are first updated with the batch (:class:`ClassStatistics`). C x C numbers per
    pixel are formed for a few pixels at a time, and again in the backward pass.

    Args:
        strength: :math:`\lambda`; 0 is :class:`PixelWiseKDLoss` on the pixels that are not void.
        temperature: divides the logits of both networks.

    Shape:
        student: (features, weight, bias) before and of the classifier, ((N, D, H, W), (C, D, 1, 1), (C,)), as by the
        paths ``['prelogits', 'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias']``; the gradient reaches all
        three. teacher: logits (N, C, H, W); labels (N, h, w) less than C or void. A scalar in nats; 0 if all is void.

    Raises:
        ValueError: if ``strength`` is negative, ``temperature`` is not positive, the shapes disagree, the statistics do
            not exist yet, or labels are missing.

    Paper: Yuan et al., "FAKD: Feature Augmented Knowledge Distillation for Semantic Segmentation" (WACV 2024, arXiv
    2208.14143). No code is known and only the abstract was read: it confirms a closed upper bound over infinitely many
    augmentations; the formula is a reconstruction after ISDA (arXiv 1909.12220), with variances in place of
    covariances. ISDA raises the strength to 7.5 during training; the paper's own values are unknown.
    """

    needs_labels = True
    needs_equal_channels = False
    chunk = 2**22  # numbers at a time

    def __init__(self, strength: float = 2.5, temperature: float = 1.0) -> None:
        super().__init__()
        if strength < 0 or temperature <= 0:
            raise ValueError(f'FAKDLoss: strength must be >= 0 and temperature > 0, but are {strength} and '
                             f'{temperature}')
        self.strength, self.temperature = strength, temperature
        self.statistics: Optional[ClassStatistics] = None

    def setup(self, student: Student, teacher: Tensor) -> None:
        if isinstance(student, tuple) and len(student) == 3:
            self.statistics = ClassStatistics(*student[1].shape[:2])

    def check(self, student: Student, teacher: Tensor) -> None:
        if not isinstance(student, tuple) or len(student) != 3 or not isinstance(teacher, Tensor):
            raise ValueError('FAKDLoss takes (features, weight, bias) of the student and logits of the teacher; give '
                             'the term these paths')
        check_same_shape('FAKDLoss', student[0], teacher, channels=False)
        known = self.statistics and tuple(self.statistics.mean.shape)
        found = teacher.shape[1], student[0].shape[1]
        if not known == found == student[1].shape[:2]:
            raise ValueError(f'FAKDLoss was set up for (classes, channels) = {known} with a classifier of these, but '
                             f'got {found} and one of {tuple(student[1].shape)}; call setup with the maps of the loss')

    def compute(self, student: Student, teacher: Tensor, labels: Tensor) -> Tensor:
        valid = labels != IGNORE_INDEX
        features, targets = (x.permute(0, 2, 3, 1)[valid] for x in (student[0], teacher))
        weight, present, index = student[1].flatten(1), *torch.unique(labels[valid].long(), return_inverse=True)
        if self.training:
            self.statistics.update(features, present[index])
        variances = self.statistics.variance[present].to(features.dtype)
        lengths = variances @ weight.square().T
        spread = lengths[:, :, None] + lengths[:, None] - 2 * (weight * variances[:, None]) @ weight.T
        table = spread * (self.strength / (2 * self.temperature**2))
        logits = F.linear(features, weight, student[2]) / self.temperature
        total = differentiable_zero(student[0])
        for rows in zip(*(x.split(max(1, self.chunk // len(weight)**2))
                          for x in (logits, targets / self.temperature, index))):
            total = total + checkpoint(_bound, *rows, table, use_reentrant=False)
        return total * (self.temperature**2 / max(1, len(index)))


def _bound(logits: Tensor, targets: Tensor, index: Tensor, table: Tensor) -> Tensor:
    """Sum of the bounds of pixels (M, C) of the classes ``index`` (M,) of a table (K, C, C)."""
    logs = targets.log_softmax(1)
    return (logs.exp() * (logs - logits + (logits[:, None] + table[index]).logsumexp(2))).sum()
