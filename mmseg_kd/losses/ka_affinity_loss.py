from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import gram_distance, root, unit


@MODELS.register_module()
class KAAffinityLoss(DistillLoss):
    r"""Match the similarities of all pairs of pixels, as one matrix per image (knowledge adaptation).

    .. math:: L = \frac{1}{N P} \sum_n
        \Big\| \big(\cos(f^s_{np}, f^s_{nq}) - \cos(f^t_{np}, f^t_{nq})\big)_{pq} \Big\|_F

    with P the pixels of the map; the root of :class:`PairWiseKDLoss` with kernel 1, image by image. The P x P matrices
    are not formed where P is greater than the channels of both networks together. Rounding hides distances under
    about 3e-4 there, in float32; equal maps give 0 with zero gradient.

    Shape:
        features (N, C, H, W) of student and teacher; channels may differ. A scalar, at most 2.

    Raises:
        ValueError: if batch or spatial sizes differ.

    Paper: He et al., "Knowledge Adaptation for Efficient Semantic Segmentation" (CVPR 2019, arXiv 1903.04688), weight
    1, from the last features of the student through a 3x3 convolution to the code of an autoencoder of the teacher's
    features. No code of the authors is known; the formula is taken from notes on the paper and is not verified against
    it. Deviation: the teacher's features are compared as they are, without the autoencoder.
    """

    needs_equal_channels = False

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = (unit(x.flatten(2)) for x in (student, teacher))
        return root(gram_distance(student, teacher)).mean() / student.shape[2]
