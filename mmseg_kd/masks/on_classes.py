from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor

from ..losses.base import Maps
from .masked import MaskedLoss


@MODELS.register_module()
class OnClasses(MaskedLoss):
    """A loss on the pixels of some classes, such as the rare ones.

    Args:
        only: indices of the classes.
        loss: config of the loss; see :class:`~mmseg_kd.masks.MaskedLoss`.

    Raises:
        ValueError: if ``only`` is empty or holds a class that there is not, the loss has a critic, or labels are
            missing.

    Example:
        >>> loss=dict(type='OnClasses', only=[11, 12, 17, 18], loss=dict(type='PixelWiseKDLoss', temperature=3.0))
    """

    def __init__(self, only: Sequence[int], loss: dict) -> None:
        super().__init__(loss)
        if not only or min(only) < 0:
            raise ValueError(f'OnClasses: only must name one class or more, each >= 0, but is {list(only)}')
        self.register_buffer('only', torch.tensor(list(only)), persistent=False)

    def setup(self, student: Maps, teacher: Maps) -> None:
        super().setup(student, teacher)
        if self.only.max() >= self.classes:
            raise ValueError(f'OnClasses: only must name classes below {self.classes}, but is {self.only.tolist()}')

    def counted(self, student: Maps, teacher: Maps, labels: Tensor) -> Tensor:
        return torch.isin(labels, self.only)
