import torch
from mmseg.registry import MODELS
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..constants import IGNORE_INDEX
from .base import DistillLoss
from .ops import class_masks, inverse_norm, squared_lengths


@MODELS.register_module()
class IFVDLoss(DistillLoss):
    r"""Match how much every pixel resembles the rest of its class (intra-class feature variation).

    .. math:: L = \frac{1}{|V|} \sum_{p \in V} (M^s_p - M^t_p)^2, \qquad
        M_p = \cos\Big(f_p, \sum_{q \in V:\; n_q = n_p,\; y_q = y_p} f_q\Big)

    with V the pixels of the batch that are not void. A prototype is the mean of a class in one image; the cosine does
    not see its length, so that the sum serves. Gradient reaches the student's features and, through them, its
    prototypes.

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
        ours, theirs = (_ClassCosine.apply(x.flatten(2), labels.flatten(1), self.classes) for x in (student, teacher))
        valid = labels.flatten(1) != IGNORE_INDEX
        return torch.where(valid, ours - theirs, 0).square().sum() / valid.sum().clamp_min(1)


class _ClassCosine(torch.autograd.Function):
    """Cosine (N, P) of each pixel of features (N, C, P) with the sum of its class in its image; anything for void.

    By hand: of maps it keeps none but the features, and its gradient is one product of matrices.
    """

    @staticmethod
    def forward(ctx, features: Tensor, labels: Tensor, classes: int) -> Tensor:
        sums = features @ class_masks(labels, classes, features.dtype)
        scales = inverse_norm(sums)
        prototypes = sums * scales
        index = labels.where(labels != IGNORE_INDEX, 0).long()[:, None]
        squares = squared_lengths(features)
        inverse = torch.where(squares > 1e-16, squares.clamp_min(1e-16).rsqrt(), 0)
        cosines = (prototypes.transpose(1, 2) @ features).gather(1, index).squeeze(1) * inverse
        ctx.save_for_backward(features, labels, prototypes, scales, inverse, cosines)
        return cosines

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, labels, prototypes, scales, inverse, cosines = ctx.saved_tensors
        masks = class_masks(labels, prototypes.shape[2], features.dtype)
        grad = grad * inverse
        flow = grad[..., None] * masks
        to_prototypes = features @ flow
        to_sums = (to_prototypes - prototypes * (prototypes * to_prototypes).sum(1, keepdim=True)) * scales
        directions, shares = torch.cat([prototypes, to_sums], 2), torch.cat([flow, masks], 2)
        along = features * -(grad * cosines * inverse)[:, None]
        return along.baddbmm_(directions, shares.transpose(1, 2)), None, None
