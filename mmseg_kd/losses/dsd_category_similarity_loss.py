import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import unit


@MODELS.register_module()
class DSDCategorySimilarityLoss(DistillLoss):
    r"""Match where classes overlap in the image (category-wise similarity of double similarity distillation).

    .. math:: L = \frac{1}{N C^2} \sum_n \|G^s_n - G^t_n\|_F^2, \qquad G_n = Q_n Q_n^T, \quad
        Q_{nc} = \mathrm{softmax}_p(\bar z_{nc} / \tau)

    with :math:`\bar z` the logits averaged over 2 x 2 pixels (at the right and lower edge over the pixels that exist).

    Entries of G are about one over the number of pixels, so that the gradient is next to nothing on maps of usual
    size, whatever the published weight of 10: :class:`CosineDSDCategorySimilarityLoss` mends that.

    Args:
        temperature: divides the averaged logits of both networks; greater looks at wider regions.

    Shape:
        logits (N, C, H, W) of student and teacher, equal shapes; a scalar in 0 to 1.

    Raises:
        ValueError: if ``temperature`` is not positive, or the shapes differ.

    Paper: Feng et al., "Double Similarity Distillation for Semantic Image Segmentation" (IEEE TIP 2021, arXiv
    2107.08591). The authors' code is not published; this is the formula of CIRKD's code, which has no factor of
    :math:`\tau^2`.
    """

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'{type(self).__name__}: temperature must be > 0, but is {temperature}')
        self.temperature = temperature

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = (self.maps(F.avg_pool2d(x, 2, ceil_mode=True).flatten(2)) for x in (student, teacher))
        return (student @ student.transpose(1, 2) - teacher @ teacher.transpose(1, 2)).square().mean()

    def maps(self, logits: Tensor) -> Tensor:
        """The rows Q (N, C, P) whose products are compared."""
        return (logits / self.temperature).softmax(2)


@MODELS.register_module()
class CosineDSDCategorySimilarityLoss(DSDCategorySimilarityLoss):
    """:class:`DSDCategorySimilarityLoss` with rows of unit length, so that G holds cosines; not published anywhere."""

    def maps(self, logits: Tensor) -> Tensor:
        return unit(super().maps(logits), dim=2)
