import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import tensor_sum


@MODELS.register_module()
class ConsistencyKDLoss(DistillLoss):
    r"""Match how much every pixel differs from its neighbors: little inside an object, much at its edge.

    .. math:: L = \frac{1}{|V|} \sum_{p \in V} (c^s_p - c^t_p)^2, \qquad
        c_p = \frac{1}{|B_p|} \sum_{q \in B_p} \|z_p - z_q\|_2

    with V all pixels of the batch and :math:`B_p` the up to 8 neighbors of p in the map. A pixel that equals its
    neighbor gets no gradient from it.

    Shape:
        Logits (N, C, H, W) of student and teacher, or features; channels may differ. A scalar in squared units of the
        logits; 0 for a map of one pixel.

    Raises:
        ValueError: if batch or spatial sizes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import ConsistencyKDLoss
        >>> student, teacher = torch.tensor([[[[0.0, 0.0]]]]), torch.tensor([[[[0.0, 3.0]]]])
        >>> ConsistencyKDLoss()(student, teacher).item()
        9.0

    Paper: Xie et al., "Improving Fast Segmentation With Teacher-student Learning" (BMVC 2018, arXiv 1810.08476): its
    first-order consistency. The zeroth-order part is a :class:`PixelWiseKDLoss` (temperature 1) in a term of its own.
    No code is known, and only the abstract and notes were read: the norm, the square, and the choice of logits instead
    of probabilities are a reconstruction; the weights are unknown.
    """

    needs_equal_channels = False

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (_variation(student) - _variation(teacher)).square().mean()


def _variation(x: Tensor) -> Tensor:
    """Mean distance of each pixel of (N, C, H, W) from its neighbors, (N, H, W)."""
    pairs = [
        (x[..., 1:], x[..., :-1]),
        (x[..., 1:, :], x[..., :-1, :]),
        (x[..., 1:, 1:], x[..., :-1, :-1]),
        (x[..., 1:, :-1], x[..., :-1, 1:]),
    ]
    # Padding (left, right, top, bottom) that puts the distances at the first and at the second pixel of a pair.
    places = [
        ((1, 0, 0, 0), (0, 1, 0, 0)),
        ((0, 0, 1, 0), (0, 0, 0, 1)),
        ((1, 0, 1, 0), (0, 1, 0, 1)),
        ((0, 1, 1, 0), (1, 0, 0, 1)),
    ]
    distances = [(first - second).norm(dim=1) for first, second in pairs]
    distance, neighbors = (
        tensor_sum(F.pad(d, place) for d, both in zip(maps, places) for place in both)
        for maps in (distances, [torch.ones_like(d[:1]) for d in distances])
    )
    return distance / neighbors.clamp_min(1)
