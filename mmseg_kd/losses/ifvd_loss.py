import torch
from mmseg.registry import MODELS
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..constants import IGNORE_INDEX
from .base import DistillLoss
from .ops import class_masks, inverse_norm


@MODELS.register_module()
class IFVDLoss(DistillLoss):
    r"""Match how similar every pixel is to the rest of its class (intra-class feature variation).

    .. math:: L = \frac{1}{|V|} \sum_{p \in V} (M^s_p - M^t_p)^2, \qquad
        M_p = \cos\Big(f_p, \sum_{q \in V:\; n_q = n_p,\; y_q = y_p} f_q\Big)

    with V the pixels of the batch that are not ignored. A prototype is the mean of a class in one image; the sum serves
    as well, because the cosine does not depend on its length. The gradient reaches the student's features both directly
    and through its prototypes.

    Shape:
        Features (N, C, H, W) of student and teacher, channels may differ; labels (N, h, w). A scalar, at most 4; 0 if
        all pixels are ignored.

    Raises:
        ValueError: if batch or spatial sizes differ, or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import IFVDLoss
        >>> student, teacher = torch.ones(1, 2, 1, 2), torch.tensor([[[[1.0, -1.0]], [[1.0, 1.0]]]])
        >>> loss = IFVDLoss()(student, teacher, labels=torch.tensor([[[0, 0]]]))
        >>> round(loss.item(), 4)  # (1 - cos 45 degrees) ** 2
        0.0858

    Paper: Wang et al., "Intra-class Feature Variation Distillation for Semantic Segmentation" (ECCV 2020). Deviation:
    the published code divides by all pixels, ignored ones included; here they are left out, which makes the value
    greater by the inverse of the share of pixels that are not ignored.
    """

    needs_labels = True
    needs_equal_channels = False

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        ours, theirs = (_ClassCosine.apply(x.flatten(2), labels.flatten(1), self.classes) for x in (student, teacher))
        valid = labels.flatten(1) != IGNORE_INDEX
        return torch.where(valid, ours - theirs, 0).square().sum() / valid.sum().clamp_min(1)


class _ClassCosine(torch.autograd.Function):
    """Cosine (N, P) of each pixel of features (N, C, P) with the sum of its class in its image; undefined for ignored
    pixels.

    The gradient is written by hand: the features are the only map that is kept, and the gradient is one matrix product.
    """

    # m = u . f / |f| with u = S / |S| and S the sum of f over the class; g is the incoming gradient.
    # Directly, f gets g (u - m f / |f|) / |f|. Through the prototype, u gets a = sum g f / |f| over the class.
    # So S, and with it every f of the class, gets (a - (a . u) u) / |S|.

    @staticmethod
    def forward(ctx, features: Tensor, labels: Tensor, classes: int) -> Tensor:
        sums = features @ class_masks(labels, classes, features.dtype)
        scales = inverse_norm(sums)
        prototypes = sums * scales
        index = labels.where(labels != IGNORE_INDEX, 0).long()[:, None]
        inverse = inverse_norm(features).squeeze(1)
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
