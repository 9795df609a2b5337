from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss, Maps, pairs
from .ops import attention, tensor_sum


@MODELS.register_module()
class AttentionTransferLoss(DistillLoss):
    r"""Match where in the image the features have energy.

    .. math:: L = \sum_l \frac{1}{N P} \sum_{np} (a^s_{lnp} - a^t_{lnp})^2, \qquad
        a_{ln} = e_{ln} / \|e_{ln}\|_2, \quad e_{lnp} = \mathrm{mean}_c f_{lncp}^2

    with P the pixels of the map. Each level l adds at most 2 / P: the published weights are 1000 to 10000, and the same
    weight means less on a larger map.

    Shape:
        Features (N, C, H, W) of student and teacher, channels may differ, or tuples of such maps, one per level. A
        scalar.

    Raises:
        ValueError: if batch or spatial sizes, or the numbers of maps, differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import AttentionTransferLoss
        >>> student, teacher = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
        >>> AttentionTransferLoss()(student, teacher).item()
        1.0

    Paper: Zagoruyko and Komodakis, "Paying More Attention to Attention" (ICLR 2017, arXiv 1612.03928). This is the mean
    of squares of the published code; the formula of the paper is :class:`AttentionTransferNormLoss`.
    """

    needs_equal_channels = False

    def compute(self, student: Maps, teacher: Maps) -> Tensor:
        return tensor_sum(self.distance(attention(s), attention(t)) for s, t in pairs(student, teacher))

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (student - teacher).square().mean()


@MODELS.register_module()
class AttentionTransferNormLoss(AttentionTransferLoss):
    r""":class:`AttentionTransferLoss` as the paper writes it: the mean over samples of :math:`\|a^s - a^t\|_2`.

    Each level adds at most :math:`\sqrt 2`, whatever the size of the map. The paper's factor of one half belongs to the
    weight.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import AttentionTransferNormLoss
        >>> student, teacher = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
        >>> round(AttentionTransferNormLoss()(student, teacher).item(), 4)
        1.4142
    """

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (student - teacher).norm(dim=1).mean()
