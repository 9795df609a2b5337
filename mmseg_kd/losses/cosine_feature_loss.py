from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss, Maps, pairs
from .ops import inverse_norm, tensor_sum


@MODELS.register_module()
class CosineFeatureLoss(DistillLoss):
    r"""Match the direction of every pixel's feature vector, whatever its length.

    .. math:: L = \frac{1}{|l|} \sum_l \mathrm{mean}_{np} \big(1 - \cos(f^s_{lnp}, f^t_{lnp})\big)

    Shape:
        Features (N, C, H, W) of student and teacher, equal shapes, or tuples of such maps, one per level l. A scalar
        from 0 to 2. A zero vector adds 1 and gets no gradient.

    Raises:
        ValueError: if the shapes, or the numbers of maps, differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import CosineFeatureLoss
        >>> student, teacher = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1), torch.tensor([0.0, 5.0]).view(1, 2, 1, 1)
        >>> CosineFeatureLoss()(student, teacher).item()
        1.0

    Source: the feature distillation of a compact network for VOC 2012 from FCN-ResNet50. Deviation: its authors project
    the teacher's features to the student's channels, as :class:`~mmseg_kd.losses.ProjectedCosineLoss` does; here the
    adapter of the term projects the student, and the target stays fixed.
    """

    def compute(self, student: Maps, teacher: Maps) -> Tensor:
        levels = pairs(student, teacher)
        return tensor_sum(_angular(s, t) for s, t in levels) / len(levels)


def _angular(student: Tensor, teacher: Tensor) -> Tensor:
    # The product of the maps themselves, not of unit vectors: autograd then keeps no copy of either.
    product = (student * teacher).sum(1, keepdim=True)
    return (1 - product * inverse_norm(student) * inverse_norm(teacher)).mean()
