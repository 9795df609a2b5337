import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import unit


@MODELS.register_module()
class SSTKDStatisticalTextureLoss(DistillLoss):
    r"""Match the distribution of the intensities of low-level features, and the intensity of each pixel.

    .. math:: L = \frac{1}{N} \sum_n \Big( \sum_k |h^s_{nk} - h^t_{nk}|
        + \frac{1}{P} \sum_{pk} (e^s_{npk} - e^t_{npk})^2 \Big), \qquad h_{nk} = \frac{1}{P} \sum_p e_{npk}

    The intensity of a pixel is the cosine of its feature with the mean feature of its image. It is quantized to the
    levels :math:`k = 0 \ldots K - 1` of the teacher, the centers of K equal parts of the teacher's range in the image:
    :math:`e_{npk}` falls linearly from 1 at the level to 0 at its neighbors, and an intensity beyond the first or the
    last level counts as that level. A student's pixel beyond the levels gets no gradient from its own intensity.

    Args:
        levels: The number K of levels; at least 2.

    Shape:
        Features (N, C, H, W) of student and teacher, P pixels, channels may differ. A scalar, at most 4; 0 for maps of
        one pixel.

    Raises:
        ValueError: if ``levels`` is less than 2, or batch or spatial sizes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import SSTKDStatisticalTextureLoss
        >>> features = torch.eye(3).view(1, 3, 1, 3)
        >>> SSTKDStatisticalTextureLoss()(features, features).item()  # equal textures
        0.0

    Paper: Ji et al., "Structural and Statistical Texture Knowledge Distillation for Semantic Segmentation" (CVPR 2022,
    arXiv 2305.03944), on the first stage of the backbone. No code is known and only the abstract was read: this is a
    reconstruction from the quantization of STLNet (CVPR 2021), on which the paper builds, unverified. Deviations: no
    learned layers, sampling of regions, refined levels or limit of intensities. STLNet's soft quantization jumps at the
    border of a level, which has no useful gradient; here it falls linearly. There are 8 levels as in its
    two-dimensional variant, not 128, which half precision could not distinguish. A range below 1e-3 counts as 1e-3.
    """

    needs_equal_channels = False

    def __init__(self, levels: int = 8) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f'SSTKDStatisticalTextureLoss: levels must be >= 2, but is {levels}')
        self.levels = levels

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = _intensity(student), _intensity(teacher)
        low, high = teacher.aminmax(dim=1, keepdim=True)
        # The levels of an even map would divide rounding errors.
        width = (high - low).clamp_min(1e-3) / self.levels
        student, teacher = (self._quantize((x - low) / width - 0.5) for x in (student, teacher))
        difference = student - teacher
        return (difference.mean(1).abs() + difference.square().mean(1)).sum(1).mean()

    def _quantize(self, position: Tensor) -> Tensor:
        """Soft levels (N, P, K) of positions (N, P), which are in units of a level."""
        level = torch.arange(self.levels, dtype=position.dtype, device=position.device)
        return F.relu(1 - (position.clamp(0, self.levels - 1)[..., None] - level).abs())


def _intensity(x: Tensor) -> Tensor:
    """Cosine of each pixel with the mean of its map, (N, P)."""
    x = x.flatten(2)
    return (unit(x) * unit(x.mean(2, keepdim=True))).sum(1)
