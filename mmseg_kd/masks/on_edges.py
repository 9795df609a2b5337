import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..losses.base import Maps
from ..losses.ops import sample_labels
from .masked import MaskedLoss


@MODELS.register_module()
class OnEdges(MaskedLoss):
    """A loss on the pixels where classes meet: the split of BPKD, for any loss.

    A pixel of the labels lies on an edge if the window around it holds more than one value, the ignored one included. A
    pixel of the maps lies on an edge if one of the labels in its cell does. Ignored pixels themselves are left out.

    Args:
        loss: The config of the inner loss; see :class:`~mmseg_kd.masks.MaskedLoss`.
        kernel: The odd side of the window, in pixels of the labels. A straight edge is ``kernel`` - 1 pixels wide.

    Raises:
        ValueError: if ``kernel`` is not odd and positive, the inner loss has an auxiliary module, or labels are
            missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.masks import OnEdges
        >>> loss = OnEdges(loss=dict(type='HintLoss'), kernel=3)
        >>> student, teacher = torch.zeros(1, 1, 1, 4), torch.tensor([[[[1.0, 2.0, 2.0, 1.0]]]])
        >>> loss(student, teacher, labels=torch.tensor([[[0, 0, 1, 1]]])).item()  # the two pixels in the middle
        4.0

    Paper: the split is that of Liu et al., "BPKD: Boundary Privileged Knowledge Distillation For Semantic Segmentation"
    (WACV 2024, arXiv 2306.08075), which makes it class by class (:class:`~mmseg_kd.losses.BPKDLoss`).
    """

    def __init__(self, loss: dict, kernel: int = 7) -> None:
        super().__init__(loss)
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f'{type(self).__name__}: kernel must be odd and >= 1, but is {kernel}')
        self.kernel = kernel

    def counted(self, student: Maps, teacher: Maps, labels: Tensor) -> Tensor:
        size = (student if isinstance(student, Tensor) else student[0]).shape[2:]
        values, window = labels[:, None].float(), (self.kernel, 1, self.kernel // 2)
        mixed = F.max_pool2d(values, *window) != -F.max_pool2d(-values, *window)
        edges = F.adaptive_max_pool2d(mixed.float(), size)[:, 0] > 0
        return self.side(edges) & (sample_labels(labels, size) != IGNORE_INDEX)

    def side(self, edges: Tensor) -> Tensor:
        """The pixels of the selected side, from those that lie on an edge."""
        return edges


@MODELS.register_module()
class OnBodies(OnEdges):
    """A loss on the pixels that :class:`OnEdges` leaves out: the inside of objects, without ignored pixels.

    Example:
        >>> import torch
        >>> from mmseg_kd.masks import OnBodies
        >>> loss = OnBodies(loss=dict(type='HintLoss'), kernel=3)
        >>> student, teacher = torch.zeros(1, 1, 1, 4), torch.tensor([[[[1.0, 2.0, 2.0, 1.0]]]])
        >>> loss(student, teacher, labels=torch.tensor([[[0, 0, 1, 1]]])).item()  # the two outer pixels
        1.0
    """

    def side(self, edges: Tensor) -> Tensor:
        return ~edges
