import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .ops import inverse_norm
from .pair_wise_kd_loss import PairWiseKDLoss


@MODELS.register_module()
class HalfMapPairWiseKDLoss(PairWiseKDLoss):
    """:class:`PairWiseKDLoss` as SKD's published code computes it: few nodes, and no gradient through their lengths.

    A node is the maximum over half the height and half the width of the map, each rounded down: 2 x 2 nodes on a map of
    even sides, 3 on a side that is odd and greater than 1. The length by which a node is divided passes no gradient.
    The value does not change by that, but the gradient has another direction and is several times longer: it also acts
    on the lengths of the features, on which the value does not depend.

    Shape:
        Features (N, C, H, W) of student and teacher; channels may differ. A scalar, at most 4.

    Raises:
        ValueError: if batch or spatial sizes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import HalfMapPairWiseKDLoss
        >>> student, teacher = torch.ones(1, 2, 1, 2), torch.eye(2).view(1, 2, 1, 2)
        >>> round(HalfMapPairWiseKDLoss()(student, teacher).item(), 4)  # the off-diagonal cosines are 1 and 0
        0.5

    Paper: Liu et al., "Structured Knowledge Distillation" (CVPR 2019, arXiv 1903.04197), the published code, with
    weight 0.5. Deviation: a node of zeros has no direction, where the code adds 1e-8 to each length.
    """

    def __init__(self) -> None:
        super().__init__(kernel=1)

    def pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, [max(1, side // 2) for side in x.shape[2:]], ceil_mode=True)

    def directions(self, nodes: Tensor) -> Tensor:
        return nodes * inverse_norm(nodes.detach())
