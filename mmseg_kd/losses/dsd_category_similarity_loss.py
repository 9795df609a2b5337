from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import average_pool, unit


@MODELS.register_module()
class DSDCategorySimilarityLoss(DistillLoss):
    r"""Match where classes overlap in the image (category-wise similarity of double similarity distillation).

    .. math:: L = \frac{1}{N C^2} \sum_n \|G^s_n - G^t_n\|_F^2, \qquad G_n = Q_n Q_n^T, \quad
        Q_{nc} = \mathrm{softmax}_p(\bar z_{nc} / \tau)

    with :math:`\bar z` the logits averaged over 2 x 2 pixels (fewer at the right and lower edge).

    Entries of G are about one over the number of pixels. The gradient is therefore almost zero on maps of usual size,
    even with the published weight of 10; :class:`CosineDSDCategorySimilarityLoss` corrects that.

    Args:
        temperature: The divisor :math:`\tau` of the averaged logits of both networks; a larger one compares wider
            regions.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes. A scalar in 0 to 1.

    Raises:
        ValueError: if ``temperature`` is not positive, or the shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import DSDCategorySimilarityLoss
        >>> student, teacher = torch.zeros(1, 1, 2, 4), torch.tensor([[[[0.0, 0.0, 99.0, 99.0]] * 2]]).view(1, 1, 2, 4)
        >>> round(DSDCategorySimilarityLoss(temperature=1.0)(student, teacher).item(), 4)  # G is 1/2 and 1
        0.25

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
        student, teacher = (self.maps(average_pool(x, 2).flatten(2)) for x in (student, teacher))
        return (student @ student.transpose(1, 2) - teacher @ teacher.transpose(1, 2)).square().mean()

    def maps(self, logits: Tensor) -> Tensor:
        """The rows Q (N, C, P) whose products are compared."""
        return (logits / self.temperature).softmax(2)


@MODELS.register_module()
class CosineDSDCategorySimilarityLoss(DSDCategorySimilarityLoss):
    """:class:`DSDCategorySimilarityLoss` with rows of unit length, so that G holds cosines; an unpublished variant.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import CosineDSDCategorySimilarityLoss
        >>> student, teacher = torch.zeros(1, 2, 2, 4), torch.zeros(1, 2, 2, 4)
        >>> teacher[0, 0, :, :2] = teacher[0, 1, :, 2:] = 99.0
        >>> round(CosineDSDCategorySimilarityLoss()(student, teacher).item(), 4)  # two of four cosines are 1 and 0
        0.5
    """

    def maps(self, logits: Tensor) -> Tensor:
        return unit(super().maps(logits), dim=2)
