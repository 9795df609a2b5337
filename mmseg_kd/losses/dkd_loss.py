import logging

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from .base import DistillLoss


@MODELS.register_module()
class DKDLoss(DistillLoss):
    r"""Match the probability of the labeled class and the distribution of the other classes, each with its own weight.

    .. math:: L = \frac{\tau^2}{|V|} \sum_{p \in V}
        \alpha\, \mathrm{KL}\big([b^t_p, 1 - b^t_p] \,\|\, [b^s_p, 1 - b^s_p]\big) + \beta\, \mathrm{KL}\big(
        \mathrm{softmax}_{c \ne y_p}(z^t_p / \tau) \,\|\, \mathrm{softmax}_{c \ne y_p}(z^s_p / \tau)\big)

    with b the probability of the labeled class y at temperature :math:`\tau`, and V the pixels that are not ignored. In
    :class:`PixelWiseKDLoss` the second divergence has the weight :math:`1 - b^t`, which vanishes where the teacher is
    sure; here it has :math:`\beta` everywhere. The odds b / (1 - b) are computed from one logsumexp, which stays exact
    for confident predictions.

    Args:
        alpha: The weight :math:`\alpha` of the labeled class against the rest.
        beta: The weight :math:`\beta` of the other classes among themselves.
        temperature: The divisor :math:`\tau` of the logits of both networks; a larger one gives softer distributions.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes, C >= 2; labels (N, h, w) below C or 255. A scalar in
        nats; 0 if all pixels are ignored.

    Raises:
        ValueError: if ``temperature`` is not positive, a weight is negative, the shapes differ, there are fewer than
            two channels, or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import DKDLoss
        >>> student = torch.zeros(1, 3, 1, 1)
        >>> teacher = torch.tensor([0.5, 0.25, 0.25]).log().view(1, 3, 1, 1)
        >>> round(DKDLoss()(student, teacher, torch.tensor([[[0]]])).item(), 4)  # 1/2 against 1/3 of the labeled class
        0.0589

    Paper: Zhao et al., "Decoupled Knowledge Distillation" (CVPR 2022, arXiv 2203.08679), for image classification: beta
    8 at temperature 4, or 0.5 at 1. The defaults are those of a segmentation port (seg-gdkd). Deviation from the
    published code, which subtracts 1000 from the labeled logit: here its class is left out exactly.
    """

    needs_labels = True
    least_channels = 2

    def __init__(self, alpha: float = 1.0, beta: float = 2.0, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'DKDLoss: temperature must be > 0, but is {temperature}')
        if alpha < 0 or beta < 0:
            raise ValueError(f'DKDLoss: alpha and beta must be >= 0, but are {alpha} and {beta}')
        self.alpha, self.beta, self.temperature = alpha, beta, temperature

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        if student.shape[1] == 2 and self.beta:
            if not self.alpha:
                raise ValueError(
                    'DKDLoss: with two classes, only one is left beside the labeled class, so that beta alone has '
                    'nothing to learn; set alpha > 0'
                )
            print_log(
                'DKDLoss: with two classes, only one is left beside the labeled class, so that beta has no effect',
                'current',
                logging.WARNING,
            )

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        labels = labels[:, None].long()
        valid = labels != IGNORE_INDEX
        index = torch.where(valid, labels, 0)
        (s, s_odds, _), (t, t_odds, weights) = (_decouple(z / self.temperature, index) for z in (student, teacher))
        target = _binary_divergence(s_odds, t_odds) + _binary_divergence(-s_odds, -t_odds)
        others = (weights * (t - s)).sum(1, keepdim=True)
        loss = torch.where(valid, self.alpha * target + self.beta * others, 0).sum()
        return loss * self.temperature**2 / valid.sum().clamp_min(1)


def _decouple(z: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-share of each class among the classes without the label, log-odds of the label, and the shares (0 for the
    label).
    """
    others = z.scatter(1, index, -torch.inf)
    shares = z - others.logsumexp(1, keepdim=True)
    return shares, shares.gather(1, index), others.softmax(1)


def _binary_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """The summand of KL(teacher || student) of one of two outcomes, from its log-odds."""
    return teacher.sigmoid() * (F.logsigmoid(teacher) - F.logsigmoid(student))
