from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from .base import DistillLoss, count_images
from .edges import edge_shares
from .ops import sample_labels, softened_divergence


@MODELS.register_module()
class BPKDLoss(DistillLoss):
    r"""Distil the edges of classes pixel by pixel, and their bodies channel by channel (boundary-privileged).

    .. math:: L = \lambda_E L_E + \lambda_B L_B

    .. math:: L_E = \frac{\tau^2}{N} \sum_n \sum_c \frac{1}{\max(1, \sum_p M_{ncp})} \sum_p M_{ncp}
        \mathrm{KL}\big(\mathrm{softmax}_c(M z^t / \tau) \,\|\, \mathrm{softmax}_c(M z^s / \tau)\big)_{np}

    .. math:: L_B = \frac{\tau^2}{N C} \sum_{nc}
        \mathrm{KL}\big(\mathrm{softmax}_p((1 - M) z^t / \tau) \,\|\, \mathrm{softmax}_p((1 - M) z^s / \tau)\big)_{nc}

    with M the share of cell p that lies on the edge of class c (:func:`~mmseg_kd.losses.edges.edge_shares`). It is
    found at the resolution of the labels and averaged over the cells of the logits. The products are taken per class
    and place. The sums and the softmax over p cover the cells whose sampled label is not ignored.

    Args:
        edge: The weight :math:`\lambda_E` of the edges; the published 50 times a class weight of 2.
        body: The weight :math:`\lambda_B` of the bodies.
        temperature: The divisor :math:`\tau` of the masked logits of both networks.
        kernel: The odd side of the window that finds edges, in pixels of the labels.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes; labels (N, h, w) less than C or ignored, best at full
        resolution. A scalar in (weighted) nats; 0 if all pixels are ignored.

    Raises:
        ValueError: if ``temperature`` is not positive, ``kernel`` is not odd and positive, a weight is negative, shapes
            differ, or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import BPKDLoss
        >>> student = teacher = torch.rand(1, 2, 4, 4)
        >>> labels = torch.zeros(1, 4, 4, dtype=torch.long)
        >>> round(BPKDLoss()(student, teacher, labels).item(), 4)
        0.0

    Paper: Liu et al., "BPKD: Boundary Privileged Knowledge Distillation For Semantic Segmentation" (WACV 2024, arXiv
    2306.08075). The training code was never published. Formula and defaults follow a third party's implementation, and
    are not verified against the text of the paper. As in that implementation, logits are masked instead of
    probabilities, so that a class has the logit 0 off its edges and is not unlikely there; and pixels next to ignored
    ones count as edge. Open question: a later commit of that implementation, which refers to the paper's Figure 2,
    divides the edges of a class by the number of cells with M > 0 instead of the sum of M, which makes :math:`L_E`
    about half as large. The text that would decide it could not be read. Deviation: ignored cells are left out; the
    implementation counts them as body.
    """

    needs_labels = True
    least_channels = 2

    def __init__(self, edge: float = 100.0, body: float = 20.0, temperature: float = 4.0, kernel: int = 7) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'BPKDLoss: temperature must be > 0, but is {temperature}')
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f'BPKDLoss: kernel must be odd and >= 1, but is {kernel}')
        if min(edge, body) < 0:
            raise ValueError(f'BPKDLoss: edge and body must be >= 0, but are {edge} and {body}')
        self.edge, self.body, self.temperature, self.kernel = edge, body, temperature, kernel

    def sample(self, labels: Tensor, size: torch.Size) -> Tensor:
        """Labels keep their resolution: after sampling, narrow edges would be lost."""
        return labels

    def count(self, student: Tensor, teacher: Tensor, labels: Any = None) -> Tensor:
        """The images, also those without a labeled pixel."""
        return count_images(student)

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        ignored = sample_labels(labels, student.shape[2:])[:, None] == IGNORE_INDEX
        edges = edge_shares(labels, student.shape[1], student.shape[2:], self.kernel, student.dtype)
        edges = edges.masked_fill(ignored, 0)
        share = (edges / edges.sum((2, 3), keepdim=True).clamp_min(1)).sum(1)
        logs = (torch.log_softmax(edges * x / self.temperature, dim=1) for x in (student, teacher))
        edge = (share * _divergence(*logs)).sum()
        bodies = [
            ((1 - edges) * x / self.temperature).masked_fill(ignored, torch.finfo(x.dtype).min)
            for x in (student, teacher)
        ]
        s, t = (x.flatten(2) for x in bodies)
        body = softened_divergence(s, t, temperature=1.0, dim=2) / student.shape[1]
        return (self.edge * edge + self.body * body) * (self.temperature**2 / len(student))


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of log-probabilities (N, C, H, W), per pixel (N, H, W)."""
    return F.kl_div(student, teacher, reduction='none', log_target=True).sum(1)
