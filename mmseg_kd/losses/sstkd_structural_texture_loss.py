from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .contourlet import band_energy, pyramid_step


@MODELS.register_module()
class SSTKDStructuralTextureLoss(DistillLoss):
    r"""Match the texture of low-level features, by scale and direction.

    .. math:: L = \sum_{l=1}^{m} \sum_{k=1}^{K} \mathrm{mean}\, \big(b_{lk}(f^s) - b_{lk}(f^t)\big)^2

    with :math:`b_{lk}` the band of direction k of the l-th level of a Laplacian pyramid
    (:mod:`mmseg_kd.losses.contourlet`). All steps are linear: the loss is computed from the difference of the features,
    without forming its bands.

    Args:
        levels: The number m of levels; each halves the map.
        directions: The number K of directions.

    Shape:
        Features (N, C, H, W) of student and teacher, equal shapes. A scalar in squared units of the features.

    Raises:
        ValueError: if ``levels`` or ``directions`` is less than 1, or the shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import SSTKDStructuralTextureLoss
        >>> features = torch.rand(1, 2, 8, 8)
        >>> round(SSTKDStructuralTextureLoss()(features, features + 1.0).item(), 4)  # a constant has no texture
        0.0

    Paper: Ji et al., "Structural and Statistical Texture Knowledge Distillation for Semantic Segmentation" (CVPR 2022,
    arXiv 2305.03944), on the first stage of the backbone. No code is known and only the abstract was read: pyramid and
    directions are the authors'; the rest is a reconstruction. Deviation: the published module has learned layers of
    unknown form; here the filters are fixed, raised cosines in the spectrum. Since the energies of the directions are
    summed, the directions only change the weight of a frequency by its angle, between one half and one.
    """

    def __init__(self, levels: int = 2, directions: int = 8) -> None:
        super().__init__()
        if min(levels, directions) < 1:
            raise ValueError(
                f'SSTKDStructuralTextureLoss: levels and directions must be >= 1, but are {levels} and {directions}'
            )
        self.levels, self.directions = levels, directions

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        difference, total = student - teacher, student.new_zeros(())
        for _ in range(self.levels):
            difference, texture = pyramid_step(difference)
            total = total + band_energy(texture, self.directions)
        return total
