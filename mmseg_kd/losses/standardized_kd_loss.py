from mmseg.registry import MODELS
from torch import Tensor

from .ops import unit
from .pixel_wise_kd_loss import PixelWiseKDLoss


@MODELS.register_module()
class StandardizedKDLoss(PixelWiseKDLoss):
    r"""Match the class distribution of every pixel up to the scale of its logits: :class:`PixelWiseKDLoss` of z-scores.

    .. math:: L = \frac{\tau^2}{|V|} \sum_{p \in V} \mathrm{KL}\big(\mathrm{softmax}_c(z^t_p / \tau) \,\|\,
        \mathrm{softmax}_c(z^s_p / \tau)\big), \qquad z_p = \frac{x_p - \mathrm{mean}_c\, x_p}{\mathrm{std}_c\, x_p}

    with the unbiased std (C - 1 in the denominator) over the C classes, and V all pixels of the batch. A student of
    small capacity need not reach the size of the teacher's logits, only their relations. With two classes the z-scores
    are constant and there is nothing to learn, which is an error.

    Args:
        temperature: The divisor :math:`\tau` of the z-scores of both networks; a larger one gives softer distributions.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes. A scalar in nats.

    Raises:
        ValueError: if ``temperature`` is not positive, the shapes differ, or there are fewer than three channels.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import StandardizedKDLoss
        >>> teacher = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
        >>> round(abs(StandardizedKDLoss()(10 * teacher, teacher).item()), 4)  # the scale does not matter
        0.0

    Paper: Sun et al., "Logit Standardization in Knowledge Distillation" (CVPR 2024, arXiv 2403.01427), for image
    classification, with weight 9; no values for segmentation are published. Deviation from its code, which adds 1e-7 to
    the std: equal logits of all classes have z-scores of 0 with gradient 0, not one of 1e7.
    """

    least_channels = 3

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__(temperature)

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        return super().compute(_standardize(student), _standardize(teacher))


def _standardize(logits: Tensor) -> Tensor:
    return unit(logits - logits.mean(1, keepdim=True)) * (logits.shape[1] - 1) ** 0.5
