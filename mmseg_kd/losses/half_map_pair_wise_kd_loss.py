import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .ops import inverse_norm
from .pair_wise_kd_loss import PairWiseKDLoss


@MODELS.register_module()
class HalfMapPairWiseKDLoss(PairWiseKDLoss):
    """:class:`PairWiseKDLoss` as SKD's published code computes it: few nodes, and lengths taken for constants.

    A node is the maximum over half the height and half the width of the map, each rounded down: 2 x 2 nodes on a map
    of even sides, 3 on a side that is odd and greater than 1. The length that a node is divided by passes no gradient.
    The value is the same as with it; the gradient has another direction and is several times longer: it pulls on the
    lengths of the features, which the value does not depend on.

    Shape:
        features (N, C, H, W) of student and teacher; channels may differ. A scalar, at most 4.

    Raises:
        ValueError: if batch or spatial sizes differ.

    Paper: Liu et al., "Structured Knowledge Distillation" (CVPR 2019, arXiv 1903.04197), the published code, with
    weight 0.5. Deviation: a node of zeros has no direction, where the code adds 1e-8 to each length.
    """

    def __init__(self) -> None:
        super().__init__(kernel=1)

    def pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, [max(1, side // 2) for side in x.shape[2:]], ceil_mode=True)

    def directions(self, nodes: Tensor) -> Tensor:
        return nodes * inverse_norm(nodes.detach())
