from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss


@MODELS.register_module()
class ProbabilityMSELoss(DistillLoss):
    r"""Match the class probabilities of every pixel by their squared distance, which no single wrong prediction can
    dominate.

    .. math:: L = \frac{1}{|V| C} \sum_{p \in V} \sum_c (q^s_{pc} - q^t_{pc})^2, \qquad q = \mathrm{softmax}_c(z)

    with V all pixels of the batch. Padding is among them; :class:`~mmseg_kd.masks.OnLabeled` leaves it out.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes. A scalar, at most 2 / C.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import ProbabilityMSELoss
        >>> student, teacher = torch.zeros(1, 2, 1, 1), torch.tensor([0.9, 0.1]).log().view(1, 2, 1, 1)
        >>> round(ProbabilityMSELoss()(student, teacher).item(), 4)  # 0.4 ** 2
        0.16

    Paper: Tarvainen and Valpola, "Mean teachers are better role models" (NIPS 2017, arXiv 1703.01780), per pixel as in
    the published code of Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision" (CVPR 2021,
    arXiv 2106.01226), weight 100. Deviation: that code resizes the logits to the images; here the grid is the
    student's.
    """

    least_channels = 2

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (student.softmax(1) - teacher.softmax(1)).square().mean()
