import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from .two_classes import two_classes


@MODELS.register_module()
class SoftDiceLoss(nn.Module):
    r"""Overlap of predicted and true regions, class by class; a ``loss_decode`` of MMSegmentation's heads.

    .. math:: L = \frac{1}{|C|} \sum_{c \in C} \left(1 - \frac{2 \sum_{p \in V} q_{pc} y_{pc}}
        {\sum_{p \in V} q_{pc} + \sum_{p \in V} y_{pc}}\right)

    with q the softmax of the logits, y the labels as 0 and 1, V the pixels of the batch that are not ignored, and C the
    classes that occur in V. Each class counts alike, however few pixels it has; a batch without a labeled pixel gives
    0.

    It replaces MMSegmentation's ``DiceLoss``, in which ignored pixels count as wrong predictions: there, a perfect
    prediction of an image of which half is ignored costs 1/3 (its ``ignore_index`` is the index of a class to leave
    out, not a label). That loss also joins all classes into one region, where a rare class weighs as little as its
    pixels.

    Args:
        loss_weight: The weight of this loss beside others of the head.
        loss_name: The key in the log; it begins with ``loss_``.

    Shape:
        Logits (N, C, H, W), labels (N, H, W). A scalar.

    Example:
        >>> import torch
        >>> from mmseg_kd.models import SoftDiceLoss
        >>> logits, labels = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
        >>> round(SoftDiceLoss()(logits, labels).item(), 4)
        0.5

    Paper: Milletari et al., "V-Net" (arXiv 1606.04797), for two classes and with squares in the denominator.
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_dice') -> None:
        super().__init__()
        self.loss_weight, self.loss_name = loss_weight, loss_name

    def forward(self, logits: Tensor, labels: Tensor, weight: Tensor | None = None, ignore_index: int = 255) -> Tensor:
        """Compute the loss.

        Args:
            logits: The logits at the size of the labels; one channel stands for two classes.
            labels: The labels (N, H, W).
            weight: The weight of every pixel, (N, H, W), from a pixel sampler of the head.
            ignore_index: The label of ignored pixels.
        """
        known = labels != ignore_index
        classes = labels.where(known, 0)
        counts = known.to(torch.float32) if weight is None else known * weight
        logits = two_classes(logits)
        shares = logits.float().softmax(dim=1) * counts[:, None]
        hits, none = shares.gather(1, classes[:, None]), shares.new_zeros(logits.shape[1])
        overlap = none.index_add(0, classes.flatten(), hits.flatten())
        truth = none.index_add(0, classes.flatten(), counts.flatten())
        occurs = truth > 0
        dice = 2 * overlap / (shares.sum((0, 2, 3)) + truth).where(occurs, 1)
        return self.loss_weight * (1 - dice).where(occurs, 0).sum() / occurs.sum().clamp_min(1)
