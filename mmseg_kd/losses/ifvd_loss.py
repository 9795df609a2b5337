import torch
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import IGNORE_INDEX, inverse_norm, unit


@MODELS.register_module()
class IFVDLoss(DistillLoss):
    r"""Match how much every pixel resembles the rest of its class (intra-class feature variation).

    .. math:: L = \frac{1}{|V|} \sum_{p \in V} (M^s_p - M^t_p)^2, \qquad
        M_p = \cos\Big(f_p, \sum_{q \in V:\; n_q = n_p,\; y_q = y_p} f_q\Big)

    with V the pixels of the batch that are not void. A prototype is the mean of a class in one image; the cosine does
    not see its length, so that the sum serves. Gradient reaches the student's features and, through them, its
    prototypes. Labels 0 to 254 are classes; their number need not be told.

    Shape:
        features (N, C, H, W) of student and teacher, channels may differ; labels (N, h, w). A scalar, at most 4; 0 if
        all pixels are void.

    Raises:
        ValueError: if batch or spatial sizes differ, or labels are missing.

    Paper: Wang et al., "Intra-class Feature Variation Distillation for Semantic Segmentation" (ECCV 2020). Deviation:
    the published code divides by all pixels, void included; here void counts for nothing, which makes the value
    greater by the inverse of the valid fraction.
    """

    needs_labels = True
    needs_equal_channels = False

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        labels = labels.flatten(1).long()
        valid = labels != IGNORE_INDEX
        difference = _similarity_to_class(student.flatten(2), labels) - _similarity_to_class(teacher.flatten(2), labels)
        # Void pixels have a slot and a prototype too: dropping them by index would wait for the GPU to count them.
        return torch.where(valid, difference, 0).square().sum() / valid.sum().clamp_min(1)


def _similarity_to_class(features: Tensor, labels: Tensor) -> Tensor:
    """Cosine of each pixel (N, C, P) with the sum of its class in its image, (N, P)."""
    # The index is a view without memory of its own, and the layout stays that of the map: autograd keeps one copy.
    index = labels[:, None].expand_as(features)
    sums = features.new_zeros(*features.shape[:2], IGNORE_INDEX + 1).scatter_add(2, index, features)
    prototypes = unit(sums).gather(2, index)
    return (features * prototypes).sum(1) * inverse_norm(features).squeeze(1)
