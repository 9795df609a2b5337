from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import average_pool, gram_distance, unit


@MODELS.register_module()
class CSCLoss(DistillLoss):
    r"""Match which places look alike and which channels are active together (channel and spatial correlation).

    .. math:: L = \frac{1}{N P^2} \sum_n \sum_{ij} (S^s_{nij} - S^t_{nij})^2
        + \frac{1}{N C^2} \sum_n \sum_{kl} (G^s_{nkl} - G^t_{nkl})^2

    with S the cosines of the feature vectors of two places, G those of the maps of two channels, and P the places,
    which are averages over ``kernel`` x ``kernel`` pixels (fewer at the right and lower edge). The P x P matrices are
    not formed where P is greater than 2 C. The first part is :class:`PairWiseKDLoss`.

    Args:
        kernel: The side of a place, in pixels of the feature map.

    Shape:
        Features (N, C, H, W) of student and teacher, equal shapes. A scalar, at most 8.

    Raises:
        ValueError: if ``kernel`` is less than 1, or the shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import CSCLoss
        >>> student, teacher = torch.ones(1, 2, 1, 2), torch.eye(2).view(1, 2, 1, 2)
        >>> round(CSCLoss(kernel=1)(student, teacher).item(), 4)  # half of the entries of S and of G differ by 1
        1.0

    Paper: Park and Heo, "Knowledge Distillation for Semantic Segmentation Using Channel and Spatial Correlations and
    Adaptive Cross Entropy" (Sensors 2020, DOI 10.3390/s20164616). No code is known, and only the abstract was read: the
    formula is a reconstruction. The pooling, the scaling and the equal weights are choices made here.
    """

    def __init__(self, kernel: int = 2) -> None:
        super().__init__()
        if kernel < 1:
            raise ValueError(f'CSCLoss: kernel must be >= 1, but is {kernel}')
        self.kernel = kernel

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = (average_pool(x, self.kernel).flatten(2) for x in (student, teacher))
        places = gram_distance(unit(student), unit(teacher)) / student.shape[2] ** 2
        rows, targets = (unit(x, dim=2).transpose(1, 2) for x in (student, teacher))
        return (places + gram_distance(rows, targets) / student.shape[1] ** 2).mean()
