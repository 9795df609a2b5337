from mmseg.registry import MODELS
from torch import Tensor

from .pixel_wise_kd_loss import PixelWiseKDLoss


@MODELS.register_module()
class SummedPixelWiseKDLoss(PixelWiseKDLoss):
    """:class:`PixelWiseKDLoss`, but a sum over the images of the process's batch, as in SKD's published code.

    The mean is taken over the pixels of each image only. In a batch of N images per process, a weight is therefore N
    times as strong as the same weight on the mean over images.

    Args:
        temperature: The divisor of the logits of both networks; 1 in the published code.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes. A scalar in nats, greater for more images.

    Raises:
        ValueError: if ``temperature`` is not positive, or the shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import SummedPixelWiseKDLoss
        >>> student, teacher = torch.zeros(2, 2, 1, 1), torch.tensor([[0.9, 0.1]] * 2).log().view(2, 2, 1, 1)
        >>> round(SummedPixelWiseKDLoss()(student, teacher).item(), 4)  # twice the mean, 0.3681
        0.7361

    Paper: Liu et al., "Structured Knowledge Distillation" (CVPR 2019, arXiv 1903.04197), the published code, with
    weight 10. Deviation: the code minimizes the cross-entropy with the teacher, which differs by a constant.
    """

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        return len(student) * super().compute(student, teacher)
