from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..losses.base import Maps
from .masked import MaskedLoss


@MODELS.register_module()
class OnLabeled(MaskedLoss):
    """A loss on the pixels that have a label. Ignored pixels, such as the rim of objects or the own car, are left out.

    Losses with labels leave ignored pixels out by themselves; this serves losses without labels.

    Args:
        loss: The config of the inner loss; see :class:`~mmseg_kd.masks.MaskedLoss`.

    Raises:
        ValueError: if the inner loss has an auxiliary module, or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.masks import OnLabeled
        >>> loss = OnLabeled(loss=dict(type='HintLoss'))
        >>> student, teacher = torch.tensor([[[[0.0, 0.0]]]]), torch.tensor([[[[1.0, 2.0]]]])
        >>> loss(student, teacher, labels=torch.tensor([[[0, 255]]])).item()  # the first pixel only
        1.0
    """

    def counted(self, student: Maps, teacher: Maps, labels: Tensor) -> Tensor:
        return labels != IGNORE_INDEX
