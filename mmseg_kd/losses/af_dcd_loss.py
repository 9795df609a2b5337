import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from .base import DistillLoss


@MODELS.register_module()
class AfDCDLoss(DistillLoss):
    r"""Rebuild the teacher's features from masked features of the student, and contrast the two by place and channel
    group (augmentation-free dense contrastive distillation).

    .. math:: L = \lambda_f \frac{1}{N} \sum (R - f^t)^2 - \lambda_c \frac{1}{N P} \sum_n \sum_a
        \log \frac{e_{aa}}{e_{aa} + \sum_{b \in B(a)} e_{ab}}, \qquad e_{ab} = \exp(-\|r_a - t_b\|_1 / \tau)

    with :math:`R = G(m f^s)`. The mask m is 0 in a random ``masked`` share of the places and 1 elsewhere. The generator
    G consists of two 3x3 convolutions with a ReLU between them; :meth:`setup` creates it, and it trains with the
    student.

    For the contrast, R and :math:`f^t` are reduced to P places by the maximum over ``pool`` x ``pool`` pixels, and cut
    into patches of ``patch`` x ``patch`` places and ``groups`` blocks of neighboring channels. Anchor a is one block of
    R at one place. Its positive is the same block of the teacher. Its negatives B(a) are the other blocks of the
    teacher at all places of the patch; the same block at other places is left out. Places and patches at the right and
    lower edge may be smaller. In eval mode nothing is masked.

    Args:
        reconstruction: The weight :math:`\lambda_f`; published between 1e-6 and 8e-6.
        contrast: The weight :math:`\lambda_c`; published between 0.005 and 0.04.
        masked: The share of masked places, from 0 to less than 1.
        groups: The number of channel blocks, a divisor of the number of channels.
        patch: The side of a patch, in places.
        pool: The side of a place, in pixels of the features.
        temperature: The divisor :math:`\tau` of the L1 distances.

    Shape:
        Features (N, C, H, W) of student and teacher, equal shapes. A scalar. The first part is a sum over channels and
        pixels and grows with the map, as its weights expect; the second is a sum over the blocks, in nats.

    Raises:
        ValueError: if an argument is out of range, C is not a multiple of ``groups``, or shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import AfDCDLoss
        >>> loss, features = AfDCDLoss(groups=2), torch.rand(1, 4, 8, 8)
        >>> loss.setup(features, features)  # a Distiller does this
        >>> loss(features, features).shape
        torch.Size([])

    Paper: Fan et al., "Augmentation-free Dense Contrastive Knowledge Distillation for Efficient Semantic Segmentation"
    (NeurIPS 2023, arXiv 2312.04168). This follows the published code, with random masks and the plain generator; the
    code draws no negatives across images. Deviations: maps need not be multiples of the patch (the code crops them or
    fails), nothing is masked in eval mode, and pixel-wise distillation is a term of its own (:class:`PixelWiseKDLoss`).
    """

    chunk = 2**26  # numbers processed at a time

    def __init__(
        self,
        reconstruction: float = 2e-6,
        contrast: float = 0.005,
        masked: float = 0.75,
        groups: int = 16,
        patch: int = 4,
        pool: int = 4,
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        if min(groups, patch, pool) < 1 or not 0 <= masked < 1 or temperature <= 0:
            raise ValueError(
                f'AfDCDLoss: groups, patch, pool must be >= 1, masked in [0, 1) and temperature > 0, but '
                f'are {groups}, {patch}, {pool}, {masked} and {temperature}'
            )
        self.weights, self.masked, self.temperature = (reconstruction, contrast), masked, temperature
        self.groups, self.patch, self.pool = groups, patch, pool
        self.generator: nn.Module = nn.Identity()

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        channels = teacher.shape[1]
        self.generator = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def check(self, student: Tensor, teacher: Tensor) -> None:
        super().check(student, teacher)
        if teacher.shape[1] % self.groups:
            raise ValueError(
                f'AfDCDLoss needs channels that are a multiple of groups = {self.groups}, but got '
                f'{teacher.shape[1]}; set groups to a divisor'
            )

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.training:
            student = student * (torch.rand_like(student[:, :1]) >= self.masked)
        rebuilt = self.generator(student)
        reconstruction = (rebuilt - teacher).square().sum() / len(teacher)
        return self.weights[0] * reconstruction + self.weights[1] * self.contrast(rebuilt, teacher)

    def contrast(self, rebuilt: Tensor, teacher: Tensor) -> Tensor:
        """The contrastive part, without its weight."""
        maps = [F.max_pool2d(x, self.pool, ceil_mode=True) for x in (rebuilt, teacher)]
        exists = self._blocks(torch.ones_like(maps[0][:, :1]).expand(-1, self.groups, -1, -1))[..., 0] > 0
        blocks = [self._blocks(x) for x in maps]
        number = torch.arange(exists.shape[-1], device=teacher.device)
        same_block = number[:, None] % self.groups == number % self.groups
        left_out = (same_block & (number[:, None] != number)) | ~exists[..., None, :]
        # In chunks: the backward pass of an L1 distance keeps all differences of its call.
        patches = max(1, self.chunk // (blocks[0][0].numel() * len(number)))
        distances = torch.cat([torch.cdist(s, t, p=1) for s, t in zip(*(x.split(patches) for x in blocks))])
        similarities = (-distances / self.temperature).masked_fill(left_out, -torch.inf)
        scores = similarities.log_softmax(-1).diagonal(dim1=-2, dim2=-1)
        return -torch.where(exists, scores, 0).sum() / maps[0][:, 0].numel()

    def _blocks(self, x: Tensor) -> Tensor:
        """Cut (N, C, H, W) into (patches, places * groups, channels of a group), with zeros beyond the map."""
        side, (height, width) = self.patch, x.shape[2:]
        x = F.pad(x, (0, -width % side, 0, -height % side))
        x = x.unflatten(3, (-1, side)).unflatten(2, (-1, side)).unflatten(1, (self.groups, -1))
        return x.permute(0, 3, 5, 4, 6, 1, 2).flatten(3, 5).flatten(0, 2)
