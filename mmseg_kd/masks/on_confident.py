from mmseg.registry import MODELS
from torch import Tensor

from ..losses.base import Maps
from .masked import MaskedLoss


@MODELS.register_module()
class OnConfident(MaskedLoss):
    r"""A loss on the pixels whose class the teacher is sure of: :math:`\max_c \mathrm{softmax}_c(z^t) \ge \theta`.

    The logits :math:`z^t` are the last map of the teacher. If the inner loss reads something else, the term adds them
    at the end, as in ``student='decode_head.bottleneck', teacher=['decode_head.bottleneck', 'logits']``.

    Args:
        threshold: The smallest probability :math:`\theta`, in 0 to 1.
        loss: The config of the inner loss; see :class:`~mmseg_kd.masks.MaskedLoss`.

    Raises:
        ValueError: if ``threshold`` is not in 0 to 1, or the inner loss has an auxiliary module.

    Example:
        >>> import torch
        >>> from mmseg_kd.masks import OnConfident
        >>> loss = OnConfident(threshold=0.9, loss=dict(type='HintLoss'))
        >>> student, teacher = torch.zeros(1, 2, 1, 2), torch.tensor([[[[4.0, 1.0]], [[0.0, 0.0]]]])
        >>> loss(student, teacher).item()  # the first pixel only: the mean of 4 ** 2 and 0
        8.0
    """

    def __init__(self, threshold: float, loss: dict) -> None:
        super().__init__(loss)
        if not 0 <= threshold <= 1:
            raise ValueError(f'OnConfident: threshold must be in 0..1, but is {threshold}')
        self.threshold = threshold
        self.needs_labels = self.loss.needs_labels

    def compared(self, student: Maps, teacher: Maps) -> Maps:
        if isinstance(teacher, Tensor) or len(teacher) == (1 if isinstance(student, Tensor) else len(student)):
            return teacher
        return teacher[0] if isinstance(student, Tensor) else teacher[:-1]

    def check(self, student: Maps, teacher: Maps) -> None:
        super().check(student, teacher)
        if _judged(teacher).shape[1] < 2:
            raise ValueError(
                'OnConfident needs logits of 2 classes or more as the last map of the teacher, but got 1 channel; '
                'read "logits", which has two channels for a network of one'
            )

    def counted(self, student: Maps, teacher: Maps, labels: Tensor | None) -> Tensor:
        return _judged(teacher).softmax(1).amax(1) >= self.threshold


def _judged(teacher: Maps) -> Tensor:
    """The logits that give the teacher's confidence."""
    return teacher if isinstance(teacher, Tensor) else teacher[-1]
