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
        only: The indices of the classes.
        loss: The config of the inner loss; see :class:`~mmseg_kd.masks.MaskedLoss`.

    Raises:
        ValueError: if ``only`` is empty or holds an index beyond the classes, the inner loss has an auxiliary module,
            or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.masks import OnClasses
        >>> loss = OnClasses(only=[1], loss=dict(type='HintLoss'))
        >>> student, teacher = torch.tensor([[[[0.0, 0.0]]]]), torch.tensor([[[[1.0, 2.0]]]])
        >>> loss(student, teacher, labels=torch.tensor([[[0, 1]]])).item()  # the second pixel only
        4.0
    """

    only: Tensor

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
