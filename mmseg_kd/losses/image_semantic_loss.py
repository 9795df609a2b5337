from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss


@MODELS.register_module()
class ImageSemanticLoss(DistillLoss):
    r"""Match the content of the whole image: the mean of every class map over all pixels.

    .. math:: L = \frac{1}{N C} \sum_{nc} |g^s_{nc} - g^t_{nc}|, \qquad g_{nc} = \frac{1}{P} \sum_p z_{ncp}

    Padding counts like the rest of the image; :class:`~mmseg_kd.masks.OnLabeled` leaves it out.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes. A scalar in the units of the logits.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import ImageSemanticLoss
        >>> ImageSemanticLoss()(torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[2.0, 3.0]]]])).item()
        2.0

    Paper: Qin et al., "Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised Semantic Segmentation"
    (ECCV 2022, arXiv 2208.10169), the image level: equation 4 is the mean over the classes, with weight 0.002 for all
    networks and data sets. Deviations of its published code: it takes a sum over the classes and the 2 images of a GPU,
    with weights 0.002 (VOC), 0.0005 (VOC, MobileNetV2) and 0.001 (Cityscapes), which are 0.084, 0.021 and 0.038 here;
    and it first resizes the logits to the image, which changes their means little.
    """

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (student.mean((2, 3)) - teacher.mean((2, 3))).abs().mean()
