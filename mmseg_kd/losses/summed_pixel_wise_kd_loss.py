from mmseg.registry import MODELS
from torch import Tensor

from .pixel_wise_kd_loss import PixelWiseKDLoss


@MODELS.register_module()
class SummedPixelWiseKDLoss(PixelWiseKDLoss):
    """:class:`PixelWiseKDLoss`, but a sum over the images of the process's batch, as in SKD's published code.

    The mean is taken over the pixels of each image only. One weight therefore means N times as much, in a batch of N
    images per process, as the same weight on the mean over images.

    Args:
        temperature: divides the logits of both networks; 1 in that code.

    Shape:
        logits (N, C, H, W) of student and teacher, equal shapes; a scalar in nats, greater for more images.

    Raises:
        ValueError: if ``temperature`` is not positive, or the shapes differ.

    Paper: Liu et al., "Structured Knowledge Distillation" (CVPR 2019, arXiv 1903.04197), the published code, with
    weight 10. Deviation: the code minimizes the cross-entropy with the teacher, which differs by a constant.
    """

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        return len(student) * super().compute(student, teacher)
