from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import unit


@MODELS.register_module()
class KAAdaptationLoss(DistillLoss):
    r"""Match the direction of the features of every pixel by L1 distance (knowledge adaptation).

    .. math:: L = \frac{1}{N P} \sum_{np} \Big\| \frac{f^s_{np}}{\|f^s_{np}\|_2} - \frac{f^t_{np}}{\|f^t_{np}\|_2}
        \Big\|_1

    Shape:
        features (N, C, H, W) of student and teacher, equal shapes, P pixels. A scalar, at most :math:`2 \sqrt C`.

    Raises:
        ValueError: if the shapes differ.

    Paper: He et al., "Knowledge Adaptation for Efficient Semantic Segmentation" (CVPR 2019, arXiv 1903.04688), weight
    50. No code of the authors is known; the paper's norms are called p and q, and the values 1 and 2 are those of a
    third party's code, which however scales whole maps, not pixels, to length one. Deviation: the teacher's features
    are compared as they are, while the paper compresses them by an autoencoder trained beforehand.
    """

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (unit(student) - unit(teacher)).abs().sum(1).mean()
