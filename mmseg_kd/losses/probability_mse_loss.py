from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss


@MODELS.register_module()
class ProbabilityMSELoss(DistillLoss):
    r"""Match the class probabilities of every pixel in the squared distance, which a single wrong answer cannot
    dominate.

    .. math:: L = \frac{1}{|V| C} \sum_{p \in V} \sum_c (q^s_{pc} - q^t_{pc})^2, \qquad q = \mathrm{softmax}_c(z)

    with V all pixels of the batch. Padding is among them; :class:`~mmseg_kd.masks.OnLabeled` leaves it out.

    Shape:
        logits (N, C, H, W) of student and teacher, equal shapes; a scalar, at most 2 / C.

    Raises:
        ValueError: if the shapes differ.

    Paper: Tarvainen and Valpola, "Mean teachers are better role models" (NIPS 2017, arXiv 1703.01780), per pixel as in
    the published code of Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision" (CVPR 2021,
    arXiv 2106.01226), weight 100. Deviation: that code resizes the logits to the images, here the grid is the
    student's.
    """

    least_channels = 2

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (student.softmax(1) - teacher.softmax(1)).square().mean()
