import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss, Maps, pairs
from .ops import tensor_sum


@MODELS.register_module()
class HintLoss(DistillLoss):
    r"""Regress the teacher's features: the mean squared difference.

    .. math:: L = \frac{1}{|l|} \sum_l \mathrm{mean} (f^s_l - f^t_l)^2

    The regressor of the paper, a 1x1 convolution of the student's features, is the adapter of the term.

    Shape:
        Features (N, C, H, W) of student and teacher, equal shapes, or tuples of such maps, one per level l. A scalar.

    Raises:
        ValueError: if the shapes, or the numbers of maps, differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import HintLoss
        >>> HintLoss()(torch.zeros(1, 2, 3, 3), torch.full((1, 2, 3, 3), 2.0)).item()
        4.0

    Paper: Romero et al., "FitNets: Hints for Thin Deep Nets" (ICLR 2015, arXiv 1412.6550), which takes half the squared
    norm, in a stage of its own before distillation. Here, as in CIRKD's code, it is the mean, in joint training.
    Deviation: there is a regressor only where the numbers of channels differ, unless the term names one.
    """

    def compute(self, student: Maps, teacher: Maps) -> Tensor:
        levels = pairs(student, teacher)
        return tensor_sum(F.mse_loss(s, t) for s, t in levels) / len(levels)
