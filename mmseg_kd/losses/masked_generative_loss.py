from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from .base import DistillLoss


@MODELS.register_module()
class MaskedGenerativeLoss(DistillLoss):
    r"""Rebuild the teacher's whole feature from a part of the student's, by a small network (masked generation).

    .. math:: L = \frac{1}{N} \sum_{n, c, p} \big(G(m_n \cdot f^s_n) - f^t_n\big)_{cp}^2, \qquad
        G = \mathrm{conv}_{3 \times 3} \circ \mathrm{relu} \circ \mathrm{conv}_{3 \times 3}, \quad
        m_{np} = [u_{np} < 1 - \lambda], \; u_{np} \sim U(0, 1)

    One mask serves all channels of a pixel, and the remaining pixels are not scaled up. All pixels are rebuilt, masked
    or not. In eval mode nothing is masked. The generator, which :meth:`setup` creates, is used in training only; for
    2048 channels it has 75 million parameters.

    Args:
        mask_ratio: The share :math:`\lambda` of masked pixels.

    Shape:
        Features (N, C, H, W) of student and teacher, equal shapes (the adapter of the term makes the channels equal). A
        scalar, the sum over channels and pixels: it grows with both, and the published weight is 2e-5.

    Raises:
        ValueError: if ``mask_ratio`` is not in 0 to 1, the shapes differ, the generator does not exist yet, or it was
            set up for other channels.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import MaskedGenerativeLoss
        >>> loss, features = MaskedGenerativeLoss(mask_ratio=0.5), torch.rand(1, 4, 3, 3)
        >>> loss.setup(features, features)  # a Distiller does this
        >>> loss(features, features).shape, sum(p.numel() for p in loss.generator.parameters())
        (torch.Size([]), 296)

    Paper: Yang et al., "Masked Generative Distillation" (ECCV 2022, arXiv 2205.01529), for the last stage of the
    backbone. Its released segmentation code adds CWD on logits (weight 3, temperature 4), a term of its own here. The
    mask is drawn on the device of the features.
    """

    def __init__(self, mask_ratio: float = 0.75) -> None:
        super().__init__()
        if not 0 <= mask_ratio <= 1:
            raise ValueError(f'MaskedGenerativeLoss: mask_ratio must be in 0..1, but is {mask_ratio}')
        self.mask_ratio = mask_ratio
        self.generator: Any = None  # a network from setup on

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        channels = teacher.shape[1]
        first, second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.generator = nn.Sequential(first, nn.ReLU(inplace=True), second)

    def check(self, student: Tensor, teacher: Tensor) -> None:
        super().check(student, teacher)
        if self.generator is None:
            raise ValueError('MaskedGenerativeLoss has no generator yet: call setup(student, teacher) before the loss')
        channels = self.generator[0].in_channels
        if student.shape[1] != channels:
            raise ValueError(
                f'MaskedGenerativeLoss was set up for {channels} channels, but got {student.shape[1]}; '
                'give the paths of the setup'
            )

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.training:
            kept = torch.rand_like(student[:, :1]) < 1 - self.mask_ratio
            student = student * kept
        return F.mse_loss(self.generator(student), teacher, reduction='sum') / len(student)
