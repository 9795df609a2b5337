from collections.abc import Sequence

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import softened_divergence, unit


@MODELS.register_module()
class SALCAttentionLoss(DistillLoss):
    r"""Match the attention of each place of the image over all places (long-range self-attention).

    .. math:: L = \frac{1}{N P} \sum_{np} \mathrm{KL}(a^t_{np} \,\|\, a^s_{np}), \qquad
        a_{np} = \mathrm{softmax}_q\big(\cos(f_{np}, f_{nq}) / \tau\big)

    The P places are the pixels, or, for a map with a side longer than that of ``size``, averages over ``size`` cells
    (adaptive). The P x P maps are formed; ``size`` bounds them.

    Args:
        size: The largest (height, width) of the attended map.
        temperature: The divisor :math:`\tau` of the cosines of both networks.

    Shape:
        Features (N, C, H, W) of student and teacher; channels may differ. A scalar in nats.

    Raises:
        ValueError: if ``temperature`` is not positive, a side of ``size`` is less than 1, or batch or spatial sizes
            differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import SALCAttentionLoss
        >>> student, teacher = torch.ones(1, 2, 1, 2), torch.eye(2).view(1, 2, 1, 2)
        >>> round(SALCAttentionLoss(temperature=1.0)(student, teacher).item(), 4)
        0.1109

    Paper: An et al., "Efficient Semantic Segmentation via Self-Attention and Self-Distillation" (T-ITS 2022, DOI
    10.1109/TITS.2021.3139001). No code is known and only the abstract was read: distilling attention is the authors'
    idea, the formula is a reconstruction. The usual division by the root of C is left out, since cosines do not grow
    with C.
    """

    needs_equal_channels = False

    def __init__(self, size: Sequence[int] = (32, 64), temperature: float = 0.1) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'SALCAttentionLoss: temperature must be > 0, but is {temperature}')
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f'SALCAttentionLoss: size must be (height, width), both >= 1, but is {tuple(size)}')
        self.size, self.temperature = tuple(size), temperature

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        s, t = self._cosines(student), self._cosines(teacher)
        return softened_divergence(s, t, self.temperature, dim=2) / s[..., 0].numel()

    def _cosines(self, x: Tensor) -> Tensor:
        height, width = (min(sides) for sides in zip(x.shape[2:], self.size))
        pooled = F.adaptive_avg_pool2d(x, (height, width)) if (height, width) != x.shape[2:] else x
        x = unit(pooled.flatten(2))
        return x.transpose(1, 2) @ x
