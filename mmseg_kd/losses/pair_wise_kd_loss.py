import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import average_pool, gram_distance, unit


@MODELS.register_module()
class PairWiseKDLoss(DistillLoss):
    r"""Match which places of the image look alike: the cosine similarity of every pair of nodes.

    .. math:: L = \frac{1}{N P^2} \sum_n \sum_{ij} (a^s_{nij} - a^t_{nij})^2, \qquad a_{nij} = \cos(f_{ni}, f_{nj})

    The P nodes of an image are averages over ``kernel`` x ``kernel`` pixels (fewer at the right and lower edge). The P
    x P similarities are not formed where P is greater than the channels of both networks together.

    Args:
        kernel: The side of a node, in pixels of the feature map; 1 compares pixels.

    Shape:
        Features (N, C, H, W) of student and teacher; channels may differ. A scalar, at most 4.

    Raises:
        ValueError: if ``kernel`` is less than 1, or batch or spatial sizes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import PairWiseKDLoss
        >>> student, teacher = torch.ones(1, 2, 1, 2), torch.eye(2).view(1, 2, 1, 2)
        >>> round(PairWiseKDLoss(kernel=1)(student, teacher).item(), 4)  # two of the four cosines are 1 and 0
        0.5

    Paper: Liu et al., "Structured Knowledge Distillation" (CVPR 2019, arXiv 1903.04197), whose nodes are averages, best
    at 2 x 2. Only the full graph is compared, as in the code, without the paper's connection range. The published code
    computes :class:`HalfMapPairWiseKDLoss` instead; CIRKD's code is :class:`MaxPairWiseKDLoss`.
    """

    needs_equal_channels = False

    def __init__(self, kernel: int = 2) -> None:
        super().__init__()
        if kernel < 1:
            raise ValueError(f'{type(self).__name__}: kernel must be >= 1, but is {kernel}')
        self.kernel = kernel

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = (self.directions(self.pool(x).flatten(2)) for x in (student, teacher))
        return gram_distance(student, teacher).mean() / student.shape[2] ** 2

    def pool(self, x: Tensor) -> Tensor:
        return average_pool(x, self.kernel)

    def directions(self, nodes: Tensor) -> Tensor:
        return unit(nodes)


@MODELS.register_module()
class MaxPairWiseKDLoss(PairWiseKDLoss):
    """:class:`PairWiseKDLoss` with maxima instead of averages as nodes, as in CIRKD's published code (kernel 2).

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import MaxPairWiseKDLoss
        >>> student, teacher = torch.ones(1, 2, 2, 4), torch.zeros(1, 2, 2, 4)
        >>> teacher[0, 0, 0, 0] = teacher[0, 1, 0, 3] = 1.0
        >>> round(MaxPairWiseKDLoss(kernel=2)(student, teacher).item(), 4)  # two of the four cosines are 1 and 0
        0.5
    """

    def pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, self.kernel, ceil_mode=True)
