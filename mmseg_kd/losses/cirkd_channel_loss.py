from typing import Any

import torch
from mmengine.dist import get_world_size
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .memory_queue import MemoryQueue
from .ops import average_pool, unit
from .relations import ProjectionHead, batch_relation_divergence, check_head, check_temperature, relation_divergence


@MODELS.register_module()
class CIRKDChannelLoss(DistillLoss):
    r"""Match the similarity of each channel to the channels of the batch and of past batches, and the channels
    themselves.

    .. math:: L = \frac{1}{N^2 C} \sum_{nm} \sum_c \mathrm{KL}\big(\mathrm{softmax}_d(t_{nc} \cdot t_{md} / \tau) \,\|\,
        \mathrm{softmax}_d(s_{nc} \cdot s_{md} / \tau)\big) + \frac{\alpha}{N C} \sum_{nc}
        \mathrm{KL}\big(\mathrm{softmax}_{k \in K}(t_{nc} \cdot k / \tau) \,\|\,
        \mathrm{softmax}_{k \in K}(s_{nc} \cdot k / \tau)\big) + \frac{\beta}{N C P} \sum_{nc} \|s_{nc} - t_{nc}\|^2

    with t and s the channels of teacher and student, as vectors of length one over P cells, and n, m the N images of
    one process. The features are averaged
    over 4 x 4 pixels (fewer at the right and lower edge); the student's then pass a projection head. K is a random
    sample from a memory. In training mode the memory first receives random channels of the batch, the same on all
    processes (whose batches must have one size). In eval mode it does not change.

    Args:
        temperature: The divisor :math:`\tau` of the cosines of both networks, at least 0.003.
        memory_weight: The weight :math:`\alpha` of the memory.
        mse_weight: The weight :math:`\beta` of the squares, whose sum is at most 4 / P.
        size: The number of channels in the memory.
        contrast: The number of remembered channels in K.
        pushed: The number of channels that a batch adds, over all processes (rounded up to a multiple of their number).

    Shape:
        Features (N, C, H, W) of student and teacher, channels may differ; H and W must be those of the setup, since
        remembered channels have P numbers. A scalar.

    Raises:
        ValueError: if ``temperature`` is less than 0.003, another argument is not positive (or a weight is negative),
            batch or spatial sizes differ, or the loss was not set up, or was set up for other channels or another size.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import CIRKDChannelLoss
        >>> loss = CIRKDChannelLoss(size=8, contrast=4)
        >>> student, teacher = torch.rand(2, 3, 8, 8), torch.rand(2, 5, 8, 8)
        >>> loss.setup(student, teacher)  # a Distiller does this
        >>> loss(student, teacher).shape, loss.memory.rows.shape  # 8 channels of 2 x 2 cells, and a spare row
        (torch.Size([]), torch.Size([9, 4]))

    Paper: the technical report and code of CIRKD version 2 (2025), on the input of the classifier. Deviations from the
    code, which fails where sides are no multiples of 4, drops new channels at the end of the memory, and samples noise
    until the memory is full: here P is the number of cells of the averaged map, the memory is a ring, and the noise is
    no longer used after the first batch. As in the code, the second temperature is 1, and the batch is that of the
    process.
    """

    needs_equal_channels = False
    kernel = 4

    def __init__(
        self,
        temperature: float = 0.1,
        memory_weight: float = 0.1,
        mse_weight: float = 100.0,
        size: int = 10000,
        contrast: int = 2048,
        pushed: int = 256,
    ) -> None:
        super().__init__()
        check_temperature('CIRKDChannelLoss', temperature)
        if min(size, contrast, pushed) <= 0 or min(memory_weight, mse_weight) < 0:
            raise ValueError(
                'CIRKDChannelLoss: size, contrast and pushed must be > 0, memory_weight and mse_weight >= 0, '
                f'but are {(size, contrast, pushed)} and {(memory_weight, mse_weight)}'
            )
        self.temperature, self.memory_weight, self.mse_weight = temperature, memory_weight, mse_weight
        self.size, self.contrast, self.pushed = size, contrast, pushed
        self.head: Any = None  # a ProjectionHead from setup on

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        self.head = ProjectionHead(student.shape[1], teacher.shape[1])
        self.memory = MemoryQueue(1, self.size, self._pool(teacher)[0, 0].numel())

    def check(self, student: Tensor, teacher: Tensor) -> None:
        super().check(student, teacher)
        check_head(type(self).__name__, self.head, student, teacher)
        cells, expected = self._pool(teacher[:1, :1]).numel(), self.memory.rows.shape[1]
        if cells != expected:
            raise ValueError(
                f'CIRKDChannelLoss was set up for maps of {expected} cells of 4 x 4 pixels, but got '
                f'{cells}, of {tuple(teacher.shape[2:])} pixels; set data_preprocessor.size to the size '
                'of all crops'
            )

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        s, t = (unit(x.flatten(2), dim=2).flatten(0, 1) for x in (self.head(self._pool(student)), self._pool(teacher)))
        if self.training:
            chosen = torch.randperm(len(t), device=t.device)[: -(-self.pushed // get_world_size())]
            self.memory.push(t[chosen], torch.zeros_like(chosen))
        keys = self.memory.sample(self.contrast).to(t.dtype)
        weights = s.new_full((len(s),), 1 / len(s))
        batch = batch_relation_divergence(s, t, self.temperature, groups=len(student)) / (len(s) * len(student))
        memory = relation_divergence(s, t, keys, weights, self.temperature)
        return batch + self.memory_weight * memory + self.mse_weight * (s - t).square().mean()

    def _pool(self, x: Tensor) -> Tensor:
        return average_pool(x, self.kernel)
