from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import inverse_norm, unit


@MODELS.register_module()
class KAAdaptationLoss(DistillLoss):
    r"""Match the direction of the features of every pixel by L1 distance (knowledge adaptation).

    .. math:: L = \frac{1}{N P} \sum_{np} \Big\| \frac{f^s_{np}}{\|f^s_{np}\|_2} - \frac{f^t_{np}}{\|f^t_{np}\|_2}
        \Big\|_1

    Shape:
        Features (N, C, H, W) of student and teacher, equal shapes, P pixels. A scalar, at most :math:`2 \sqrt C`.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import KAAdaptationLoss
        >>> student, teacher = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1), torch.tensor([0.0, 5.0]).view(1, 2, 1, 1)
        >>> round(KAAdaptationLoss()(student, teacher).item(), 4)
        2.0

    Paper: He et al., "Knowledge Adaptation for Efficient Semantic Segmentation" (CVPR 2019, arXiv 1903.04688), weight
    50. No code of the authors is known. The paper calls its norms p and q; their values 1 and 2 are those of a third
    party's code, which however scales whole maps, not pixels, to length one. Deviation: the teacher's features are
    compared directly; the paper compresses them by an auto-encoder trained beforehand (:class:`KATranslatorLoss`).
    """

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        # Products of the maps themselves: autograd then keeps no copy of the student's.
        return (student * inverse_norm(student) - unit(teacher)).abs().sum(1).mean()
