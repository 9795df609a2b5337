import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from .two_classes import two_classes


@MODELS.register_module()
class SoftmaxFocalLoss(nn.Module):
    r"""Cross-entropy in which a pixel counts less, the surer its class already is; a ``loss_decode`` of MMSegmentation.

    .. math:: L = - \frac{1}{|V|} \sum_{p \in V} (1 - q_p)^\gamma \log q_p

    with :math:`q_p` the softmax of the true class and V the pixels of the batch that are not ignored; 0 if there are
    none.

    It replaces MMSegmentation's ``FocalLoss``, which fails on the CPU for more than one class
    (open-mmlab/mmsegmentation issue 3249), needs MMCV's compiled operators on a GPU, and treats each class as a
    separate problem (sigmoid), as the paper does for detection.

    Args:
        gamma: The exponent :math:`\gamma`; 0 gives the cross-entropy, and a larger one emphasizes hard pixels.
        loss_weight: The weight of this loss beside others of the head.
        loss_name: The key in the log; it begins with ``loss_``.

    Shape:
        Logits (N, C, H, W), labels (N, H, W). A scalar in nats.

    Raises:
        ValueError: if ``gamma`` is negative.

    Example:
        >>> import torch
        >>> from mmseg_kd.models import SoftmaxFocalLoss
        >>> logits, labels = torch.zeros(1, 2, 1, 1), torch.tensor([[[0]]])
        >>> round(SoftmaxFocalLoss(gamma=2.0)(logits, labels).item(), 4)  # 0.5 ** 2 log 2
        0.1733

    Paper: Lin et al., "Focal Loss for Dense Object Detection" (ICCV 2017, arXiv 1708.02002).
    """

    def __init__(self, gamma: float = 2.0, loss_weight: float = 1.0, loss_name: str = 'loss_focal') -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f'SoftmaxFocalLoss: gamma must be >= 0, but is {gamma}')
        self.gamma, self.loss_weight, self.loss_name = gamma, loss_weight, loss_name

    def forward(self, logits: Tensor, labels: Tensor, weight: Tensor | None = None, ignore_index: int = 255) -> Tensor:
        """See :meth:`mmseg_kd.models.SoftDiceLoss.forward`."""
        known = labels != ignore_index
        counts = known.to(torch.float32) if weight is None else known * weight
        log_shares = F.log_softmax(two_classes(logits).float(), dim=1).gather(1, labels.where(known, 0)[:, None])[:, 0]
        # A power below 1 has an infinite gradient at 0.
        doubt = (-torch.expm1(log_shares)).clamp_min(1e-8) ** self.gamma
        return -self.loss_weight * (counts * doubt * log_shares).sum() / known.sum().clamp_min(1)
