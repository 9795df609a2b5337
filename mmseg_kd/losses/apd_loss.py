from typing import Tuple

from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import class_masks, unit


@MODELS.register_module()
class APDContextLoss(DistillLoss):
    r"""Match how every pixel would be classified by prototypes of the classes in the batch (adaptive perspective).

    .. math:: L = \frac{1}{|V|} \sum_{p \in V} \mathrm{KL}\big(\mathrm{softmax}_k(s\, v_p \cdot c^t_k) \,\|\,
        \mathrm{softmax}_k(s\, u_p \cdot c^s_k)\big)

    with u and v the features of student and teacher, scaled to length one, :math:`c_k` the mean of those of class k in
    the batch, scaled to length one, k the classes that occur and V the pixels that are not void.

    Args:
        scale: multiplies the cosines.

    Shape:
        features (N, C, H, W) of student and teacher, equal channels; labels (N, h, w). A scalar in nats; 0 if fewer
        than two classes occur.

    Raises:
        ValueError: if ``scale`` is not positive, shapes differ, or labels are missing.

    Paper: Tian et al., "Adaptive Perspective Distillation for Semantic Segmentation" (TPAMI 2023, DOI
    10.1109/TPAMI.2022.3159581), weight 10 on the features before the classifier. As in the published code the
    prototypes are of the batch of one GPU; the abstract speaks of single samples. Deviations: the code passes the
    features through a head of two 1x1 convolutions in each network, of which the teacher's learns from a
    cross-entropy of its own; here the features are compared as they come (an adapter serves the student). The code
    divides by the number of classes too, so that its 10 is 10 / K here, and counts void pixels.
    """

    needs_labels = True

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        if scale <= 0:
            raise ValueError(f'APDContextLoss: scale must be > 0, but is {scale}')
        self.scale = scale

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        masks = class_masks(labels, student.dtype)
        logs, targets = ((self.scale * prototypes.T @ features).log_softmax(1) for features, prototypes in
                         (_perspective(x, masks) for x in (student, teacher)))
        valid = masks.sum(2)
        divergence = (targets.exp() * (targets - logs)).sum(1)
        return (valid * divergence).sum() / valid.sum().clamp_min(1)


@MODELS.register_module()
class APDPrototypeLoss(DistillLoss):
    r"""Match the directions of the class prototypes of the batch: half the mean over classes of one minus their cosine.

    .. math:: L = \frac{1}{2 K} \sum_k (1 - c^s_k \cdot c^t_k)

    with the prototypes c of :class:`APDContextLoss` and K the number of classes that occur.

    Shape:
        features (N, C, H, W) of student and teacher, equal channels; labels (N, h, w). A scalar in 0 to 1; 0 if all
        is void.

    Raises:
        ValueError: if shapes differ, or labels are missing.

    Paper: as :class:`APDContextLoss`, weight 10, with the same deviation: no heads.
    """

    needs_labels = True

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        masks = class_masks(labels, student.dtype)
        (_, ours), (_, theirs) = (_perspective(x, masks) for x in (student, teacher))
        return 0.5 * (1 - (ours * theirs).sum(0)).sum() / max(1, masks.shape[2])


def _perspective(features: Tensor, masks: Tensor) -> Tuple[Tensor, Tensor]:
    """Features (N, C, P) of length one, and their prototypes (C, K) in the batch."""
    features = unit(features.flatten(2))
    return features, unit((features @ masks).sum(0), dim=0)
