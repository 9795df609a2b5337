from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..models.two_classes import two_classes
from .base import DistillLoss, check_same_shape
from .class_levels import class_levels
from .class_statistics import ClassStatistics

Student = tuple[Tensor, Tensor, Tensor]


@MODELS.register_module()
class FAKDLoss(DistillLoss):
    r"""Distil the class distribution under all small changes of the student's features at once (feature augmentation).

    A feature of class y stands for a normal distribution around it, with ``strength`` times the variances
    :math:`\sigma_y^2` of the features of that class. By Jensen's inequality, the mean divergence from the teacher over
    that distribution is at most

    .. math:: L = \frac{\tau^2}{|V|} \sum_{p \in V} \sum_c q_{pc} \Big( \log q_{pc} - \frac{z_{pc}}{\tau} + \log \sum_j
        \exp\Big( \frac{z_{pj}}{\tau} + \frac{\lambda}{2 \tau^2} \sum_d \sigma_{yd}^2 (w_{jd} - w_{cd})^2 \Big) \Big)

    with :math:`z = w f + b` the student's logits, q the teacher's softened distribution, and V the pixels that are not
    ignored. In training mode the variances are first updated with the batch
    (:class:`~mmseg_kd.losses.class_statistics.ClassStatistics`). The C x C summands of a pixel are formed for a few
    pixels at a time, and again in the backward pass; the variances take C x C x D numbers.

    Args:
        strength: The factor :math:`\lambda` of the variances; 0 gives :class:`PixelWiseKDLoss` on the pixels that are
            not ignored.
        temperature: The divisor :math:`\tau` of the logits of both networks.

    Shape:
        student: (features, weight, bias), the input of the classifier and its parameters, ((N, D, H, W), (C, D, 1, 1),
        (C,)), as read by the paths ``['prelogits', 'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias']``; the
        gradient reaches all three. A classifier with one output counts as one with two. teacher: logits (N, C, H, W);
        labels (N, h, w) less than C or ignored. A scalar in nats; 0 if all pixels are ignored.

    Raises:
        ValueError: if ``strength`` is negative, ``temperature`` is not positive, the shapes disagree, the statistics do
            not exist yet, or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import FAKDLoss
        >>> classifier = torch.eye(2).view(2, 2, 1, 1), torch.zeros(2)
        >>> student, teacher = (torch.zeros(1, 2, 1, 2), *classifier), torch.tensor([[[[3.0, 0.0]], [[0.0, 0.0]]]])
        >>> loss = FAKDLoss()
        >>> loss.setup(student, teacher)  # a Distiller does this
        >>> round(loss(student, teacher, labels=torch.tensor([[[0, 1]]])).item(), 4)  # no variance yet
        0.2511

    Paper: Yuan et al., "FAKD: Feature Augmented Knowledge Distillation for Semantic Segmentation" (WACV 2024, arXiv
    2208.14143). No code is known and only the abstract was read: it confirms a closed upper bound over infinitely many
    augmentations. The formula is a reconstruction after ISDA (arXiv 1909.12220), with variances in place of
    covariances. ISDA raises the strength to 7.5 during training; the paper's own values are unknown. A survey (arXiv
    2309.03659) lists the paper's pixel loss as channel-wise: :class:`ChannelFAKDLoss`.
    """

    needs_labels = True
    needs_equal_channels = False
    chunk = 2**20  # numbers processed at a time

    def __init__(self, strength: float = 2.5, temperature: float = 1.0) -> None:
        super().__init__()
        if strength < 0 or temperature <= 0:
            raise ValueError(
                f'{type(self).__name__}: strength must be >= 0 and temperature > 0, but are {strength} '
                f'and {temperature}'
            )
        self.strength, self.temperature = strength, temperature
        self.statistics: Any = None  # ClassStatistics from setup on

    def setup(self, student: Student, teacher: Tensor) -> None:
        if isinstance(student, tuple) and len(student) == 3:
            self.statistics = ClassStatistics(*of_two_classes(student)[1].shape[:2])

    def check(self, student: Student, teacher: Tensor) -> None:
        name = type(self).__name__
        if not isinstance(student, tuple) or len(student) != 3 or not isinstance(teacher, Tensor):
            raise ValueError(
                f'{name} takes (features, weight, bias) of the student and logits of the teacher; give the term '
                'these paths'
            )
        check_same_shape(name, student[0], teacher, channels=False)
        student = of_two_classes(student)
        known = self.statistics and tuple(self.statistics.mean.shape)
        found = teacher.shape[1], student[0].shape[1]
        if not known == found == student[1].shape[:2]:
            raise ValueError(
                f'{name} was set up for (classes, channels) = {known}, but got {found} and a classifier with weights '
                f'of shape {tuple(student[1].shape)}; call setup with the maps of the loss'
            )

    def variances(self, student: Student, labels: Tensor) -> Tensor:
        """Variances of the features by class (C, D); in training mode, the batch is added first."""
        if self.training:
            labels = labels.flatten().long()
            self.statistics.update(_rows(student[0].detach()), labels.where(labels != IGNORE_INDEX, len(student[1])))
        return self.statistics.variance.to(student[1].dtype)

    def compute(self, student: Student, teacher: Tensor, labels: Tensor) -> Tensor:
        student = of_two_classes(student)
        variances, weight = self.variances(student, labels), student[1].flatten(1)
        labels, valid = labels.flatten().long(), labels.flatten() != IGNORE_INDEX
        lengths = variances @ weight.square().T
        spread = lengths[:, :, None] + lengths[:, None] - 2 * (weight * variances[:, None]) @ weight.T
        table = spread * (self.strength / (2 * self.temperature**2))
        logits, targets = (_rows(x) / self.temperature for x in (F.conv2d(*student), teacher))
        logs, index = targets.log_softmax(1), labels.where(valid, 0)
        levels = class_levels(logits, table, index, rows=max(1, self.chunk // len(weight) ** 2))
        bounds = (logs.exp() * (logs - logits + levels)).sum(1)
        return torch.where(valid, bounds, 0).sum() * self.temperature**2 / valid.sum().clamp_min(1)


def of_two_classes(student: Student) -> Student:
    """Features, weight and bias, where a classifier with one output becomes that of its two classes."""
    return student[0], two_classes(student[1], dim=0), two_classes(student[2], dim=0)


def _rows(x: Tensor) -> Tensor:
    """The pixels of (N, C, H, W) as (N H W, C), contiguous, because each is read many times."""
    return x.permute(0, 2, 3, 1).contiguous().flatten(0, 2)
