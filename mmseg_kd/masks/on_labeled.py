from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..losses.base import Maps
from .masked import MaskedLoss


@MODELS.register_module()
class OnLabeled(MaskedLoss):
    """A loss on the pixels that have a label: void, such as the rim of objects or the own car, counts for nothing.

    Losses with labels leave void out by themselves; this is for those without.

    Args:
        loss: config of the loss; see :class:`~mmseg_kd.masks.MaskedLoss`.

    Raises:
        ValueError: if the loss has a critic, or labels are missing.

    Example:
        >>> loss=dict(type='OnLabeled', loss=dict(type='PixelWiseKDLoss', temperature=3.0))
    """

    def counted(self, student: Maps, teacher: Maps, labels: Tensor) -> Tensor:
        return labels != IGNORE_INDEX
