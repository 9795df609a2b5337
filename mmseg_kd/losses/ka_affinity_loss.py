from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import gram_distance, root, unit


@MODELS.register_module()
class KAAffinityLoss(DistillLoss):
    r"""Match the similarities of all pairs of pixels, as one matrix per image (knowledge adaptation).

    .. math:: L = \frac{1}{N P} \sum_n
        \Big\| \big(\cos(f^s_{np}, f^s_{nq}) - \cos(f^t_{np}, f^t_{nq})\big)_{pq} \Big\|_F

    with P the pixels of the map; it is the root of :class:`PairWiseKDLoss` with kernel 1, image by image. The P x P
    matrices are not formed where P is greater than the channels of both networks together. There, rounding in float32
    hides distances under about 3e-4. Equal maps give 0 with zero gradient.

    Shape:
        Features (N, C, H, W) of student and teacher; channels may differ. A scalar, at most 2.

    Raises:
        ValueError: if batch or spatial sizes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import KAAffinityLoss
        >>> student, teacher = torch.ones(1, 2, 1, 2), torch.eye(2).view(1, 2, 1, 2)
        >>> round(KAAffinityLoss()(student, teacher).item(), 4)  # two of the four cosines are 1 and 0
        0.7071

    Paper: He et al., "Knowledge Adaptation for Efficient Semantic Segmentation" (CVPR 2019, arXiv 1903.04688), weight
    1, from the last features of the student through a 3x3 convolution to the code of an auto-encoder of the teacher's
    features. No code of the authors is known; the formula is taken from notes on the paper and is not verified against
    it. Deviation: the teacher's features are compared directly, without the auto-encoder (:class:`KATranslatorLoss`).
    """

    needs_equal_channels = False

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = (unit(x.flatten(2)) for x in (student, teacher))
        return root(gram_distance(student, teacher)).mean() / student.shape[2]
