import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss


@MODELS.register_module()
class ConsistencyKDLoss(DistillLoss):
    r"""Match how much every pixel differs from its neighbors: small inside an object, large at its edge.

    .. math:: L = \frac{1}{|V|} \sum_{p \in V} (c^s_p - c^t_p)^2, \qquad
        c_p = \frac{1}{|B_p|} \sum_{q \in B_p} \|z_p - z_q\|_2

    with V all pixels of the batch and :math:`B_p` the up to 8 neighbors of p that lie in the map. A pixel equal to its
    neighbor gets no gradient from it.

    Shape:
        logits (N, C, H, W) of student and teacher; channels may differ, as of features. A scalar in squared units of
        the logits; 0 for a map of one pixel.

    Raises:
        ValueError: if batch or spatial sizes differ.

    Paper: Xie et al., "Improving Fast Segmentation With Teacher-student Learning" (BMVC 2018, arXiv 1810.08476), whose
    first-order consistency this is; the zeroth-order part is a :class:`PixelWiseKDLoss` (temperature 1) in a term of
    its own. No code is known and only the abstract and notes were read: the norm, the square, and that logits and not
    probabilities are compared are a reconstruction; the weights are unknown.
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
    # Left, right, upper, lower: where the distances of the first and of the second of a pair lie in the map.
    places = [
        ((1, 0, 0, 0), (0, 1, 0, 0)),
        ((0, 0, 1, 0), (0, 0, 0, 1)),
        ((1, 0, 1, 0), (0, 1, 0, 1)),
        ((0, 1, 1, 0), (1, 0, 0, 1)),
    ]
    distances = [(first - second).norm(dim=1) for first, second in pairs]
    total, neighbors = (
        sum(F.pad(d, place) for d, both in zip(maps, places) for place in both)
        for maps in (distances, [torch.ones_like(d[:1]) for d in distances])
    )
    return total / neighbors.clamp_min(1)
