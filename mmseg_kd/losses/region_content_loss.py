import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import unit


@MODELS.register_module()
class RegionContentLoss(DistillLoss):
    r"""Match which regions of the image look alike: the cosine similarity of every pair of cells of a coarse grid.

    .. math:: L = \frac{1}{N G^4} \sum_n \sum_{ij} (a^s_{nij} - a^t_{nij})^2, \qquad a_{nij} = \cos(f_{ni}, f_{nj})

    The G x G cells of an image are averages of its features, whatever the size of the map.

    Args:
        grid: The number of cells G along a side; the paper's ablation goes from 3 to 11.

    Shape:
        Features (N, C, H, W) of student and teacher; channels may differ. A scalar, at most 4.

    Raises:
        ValueError: if ``grid`` is less than 1, or batch or spatial sizes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import RegionContentLoss
        >>> student, teacher = torch.ones(1, 2, 2, 2), torch.tensor([[[[1.0, 0.0]] * 2, [[0.0, 1.0]] * 2]])
        >>> round(RegionContentLoss(grid=2)(student, teacher).item(), 4)  # half of the 16 cosines are 1 and 0
        0.5

    Paper: Qin et al., "Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised Semantic Segmentation"
    (ECCV 2022, arXiv 2208.10169), the region level: decoder features at stride 4, weight 100 (in its published code 50
    for MobileNetV2 on VOC). Deviation: a cell of zeros has cosine 0 with every cell, where the published code divides
    by zero.
    """

    needs_equal_channels = False

    def __init__(self, grid: int = 7) -> None:
        super().__init__()
        if grid < 1:
            raise ValueError(f'RegionContentLoss: grid must be >= 1, but is {grid}')
        self.grid = grid

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = (unit(F.adaptive_avg_pool2d(x, self.grid).flatten(2)) for x in (student, teacher))
        return (student.transpose(1, 2) @ student - teacher.transpose(1, 2) @ teacher).square().mean()
