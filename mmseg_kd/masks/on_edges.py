import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..losses.base import Maps
from ..losses.ops import sample_labels
from .masked import MaskedLoss


@MODELS.register_module()
class OnEdges(MaskedLoss):
    """A loss on the pixels where classes meet: of the split that BPKD makes, for any loss.

    A pixel of the labels lies on an edge if the window around it holds more than one value, void included; a pixel of
    the maps does if one of the labels in its cell does. Void itself counts for nothing.

    Args:
        loss: config of the loss; see :class:`~mmseg_kd.masks.MaskedLoss`.
        kernel: side of the window, in pixels of the labels; odd. A straight edge is ``kernel`` - 1 pixels wide.

    Raises:
        ValueError: if ``kernel`` is not odd and positive, the loss has a critic, or labels are missing.

    Example:
        >>> loss=dict(type='OnEdges', kernel=7, loss=dict(type='PixelWiseKDLoss', temperature=3.0))

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
        """Which side of the split counts, from where the edges are."""
        return edges


@MODELS.register_module()
class OnBodies(OnEdges):
    """A loss on the pixels that :class:`OnEdges` leaves out: the inside of objects, without void."""

    def side(self, edges: Tensor) -> Tensor:
        return ~edges
