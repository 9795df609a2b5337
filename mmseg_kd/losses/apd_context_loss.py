import torch
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import class_masks
from .prototypes import prototype_cosines


@MODELS.register_module()
class APDContextLoss(DistillLoss):
    r"""Match how the prototypes of the classes in the batch would classify every pixel (adaptive perspective).

    .. math:: L = \frac{1}{K |V|} \sum_{p \in V} \mathrm{KL}\big(\mathrm{softmax}_k(s\, v_p \cdot c^t_k) \,\|\,
        \mathrm{softmax}_k(s\, u_p \cdot c^s_k)\big)

    with u and v the features of student and teacher, scaled to length one; :math:`c_k` the mean of the scaled features
    of class k in the batch, again scaled to length one; k the K classes that occur in the batch; and V the pixels that
    are not ignored. The batch is that of one process.

    Args:
        scale: The factor s of the cosines.

    Shape:
        Features (N, C, H, W) of student and teacher, equal channels; labels (N, h, w). A scalar in nats; 0 if fewer
        than two classes occur.

    Raises:
        ValueError: if ``scale`` is not positive, shapes differ, or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import APDContextLoss
        >>> student, teacher = torch.eye(2).view(1, 2, 1, 2), -torch.eye(2).view(1, 2, 1, 2)
        >>> loss = APDContextLoss()(student, teacher, labels=torch.tensor([[[0, 1]]]))
        >>> round(loss.item(), 4)  # each pixel resembles the prototype of its class in both networks
        0.0

    Paper: Tian et al., "Adaptive Perspective Distillation for Semantic Segmentation" (TPAMI 2023, DOI
    10.1109/TPAMI.2022.3159581), weight 10 on the features before the classifier. As in the published code, the
    prototypes are those of the batch of one process, and the divergence is divided by the number K of classes that
    occur in the batch, not by the number of all classes; the abstract speaks of single samples. The features are
    compared without further layers; :class:`APDLoss` adds the heads of the paper. Deviation: ignored pixels are left
    out; the code counts them.
    """

    needs_labels = True

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        if scale <= 0:
            raise ValueError(f'APDContextLoss: scale must be > 0, but is {scale}')
        self.scale = scale

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        masks = class_masks(labels, self.classes, student.dtype)
        occurs = masks.sum((0, 1)) > 0
        scores = (self.scale * prototype_cosines(x, masks) for x in (student, teacher))
        logs, targets = (x.masked_fill(~occurs[:, None], torch.finfo(x.dtype).min).log_softmax(1) for x in scores)
        valid = masks.sum(2)
        divergence = (targets.exp() * (targets - logs)).sum(1)
        return (valid * divergence).sum() / (valid.sum() * occurs.sum()).clamp_min(1)
