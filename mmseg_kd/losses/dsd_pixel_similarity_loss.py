import torch
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss, Maps
from .ops import attention, unit


@MODELS.register_module()
class DSDPixelSimilarityLoss(DistillLoss):
    r"""Match how attention changes from layer to layer (pixel-wise similarity of double similarity distillation).

    .. math:: L = \frac{1}{K N P} \sum_{i < j} \sum_{np} (r^s_{ijnp} - r^t_{ijnp})^2, \qquad
        r_{ijn} = \frac{a_{jn} - a_{in}}{\|a_{jn} - a_{in}\|_2}, \quad a_{ln} = \frac{e_{ln}}{\|e_{ln}\|_2}, \quad
        e_{lnp} = \mathrm{mean}_c f_{lncp}^2

    over the K pairs of layers and the P pixels. The loss is at most 4 / P: the published weight is 1000, and the same
    weight means less on a larger map. Two layers whose attention differs by 1e-6 or less have the residual 0, without
    gradient.

    Shape:
        Tuples of two or more features (N, C, H, W), equally many of student and teacher, all of one spatial size;
        channels may differ. A scalar.

    Raises:
        ValueError: if there are fewer than two maps, one layer of the student is given twice, or batch sizes, spatial
            sizes or numbers of maps differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import DSDPixelSimilarityLoss
        >>> left, right = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
        >>> round(DSDPixelSimilarityLoss()((left, right), (right, left)).item(), 4)  # opposite changes
        2.0

    Paper: Feng et al., "Double Similarity Distillation for Semantic Image Segmentation" (IEEE TIP 2021, arXiv
    2107.08591). The authors' code is not published; this is the formula of CIRKD's code, for auxiliary logits, the
    input of the classifier, and logits. Deviation: the code takes logits twice where a student has no auxiliary head,
    which leaves them without gradient; here that is an error.
    """

    needs_equal_channels = False

    def check(self, student: Maps, teacher: Maps) -> None:
        name = type(self).__name__
        if isinstance(student, Tensor) or len(student) < 2:
            raise ValueError(
                f'{name} compares two or more layers of a network, but got one map; give the term a list of paths'
            )
        super().check(student, teacher)
        if len({id(x) for x in student}) < len(student):
            raise ValueError(f'{name} needs different layers, but one student layer is given twice; remove a path')
        if len({x.shape[2:] for x in student}) > 1:
            raise ValueError(
                f'{name} needs layers of one spatial size, but those of the student are '
                f'{[tuple(x.shape[2:]) for x in student]}; give the term paths of one stride'
            )

    def compute(self, student: Maps, teacher: Maps) -> Tensor:
        return (_residuals(student) - _residuals(teacher)).square().mean()


def _residuals(features: Maps) -> Tensor:
    """Unit differences of the attention (N, P) of all pairs of layers, (K, N, P)."""
    maps = torch.stack([attention(x) for x in features])
    first, second = torch.triu_indices(len(features), len(features), offset=1, device=maps.device)
    # Equal vectors of length one may differ by rounding, up to about 1e-7; scaled up, that would be noise.
    return unit(maps[second] - maps[first], dim=2, eps=1e-6)
