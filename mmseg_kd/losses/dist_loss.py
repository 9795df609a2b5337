import logging

import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import with_gradient


@MODELS.register_module()
class DISTLoss(DistillLoss):
    r"""Match how the classes of a pixel, and the pixels of a class, are related, not the exact probabilities.

    .. math:: L = \tau^2 \big[\beta\, (1 - \mathrm{mean}_p\, \rho(y^s_{p \cdot}, y^t_{p \cdot}))
        + \gamma\, (1 - \mathrm{mean}_c\, \rho(y^s_{\cdot c}, y^t_{\cdot c}))\big], \qquad
        y = \mathrm{softmax}_c(z / \tau)

    with :math:`\rho` Pearson's correlation, p all pixels of the batch and c the classes. The batch is that of one
    process. A constant (the probability of a class over the batch, or all classes of a pixel) has the correlation 0 and
    gets no gradient from it.

    Args:
        inter: The weight :math:`\beta` of the relations between the classes of a pixel.
        intra: The weight :math:`\gamma` of the relations between the pixels of a class.
        temperature: The divisor :math:`\tau` of the logits of both networks.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes. A scalar in 0 to 2 (inter + intra) temperature^2. With
        two classes the first term has almost no gradient: the correlation of a pixel is then 1 or -1.

    Raises:
        ValueError: if ``temperature`` is not positive, a weight is negative, or the shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import DISTLoss
        >>> teacher = torch.tensor([[[[2.0, 0.0]], [[0.0, 2.0]]]])
        >>> round(DISTLoss()(-teacher, teacher).item(), 4)  # all correlations are -1
        4.0

    Paper: Huang et al., "Knowledge Distillation from A Stronger Teacher" (NeurIPS 2022, arXiv 2205.10536), weights 1.
    Deviation from its code, which adds 1e-8 to the product of the two lengths: here only lengths up to 1e-8 count as
    zero, so that a class that hardly occurs weighs as much as the others. mmrazor's code correlates over the batch
    instead of the pixels. Ignored pixels count, as in all published code.
    """

    least_channels = 2

    def __init__(self, inter: float = 1.0, intra: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'DISTLoss: temperature must be > 0, but is {temperature}')
        if inter < 0 or intra < 0:
            raise ValueError(f'DISTLoss: inter and intra must be >= 0, but are {inter} and {intra}')
        self.inter, self.intra, self.temperature = inter, intra, temperature

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        if student.shape[1] == 2 and self.inter:
            if not self.intra:
                raise ValueError(
                    'DISTLoss: the relation between two classes is constant, so that inter alone has nothing to learn; '
                    'set intra > 0'
                )
            print_log(
                'DISTLoss: the relation between two classes is constant, so that inter has no gradient; set inter=0',
                'current',
                logging.WARNING,
            )

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.temperature**2 * with_gradient(student, *self._value_and_gradient(student, teacher))

    @torch.no_grad()
    def _value_and_gradient(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        # For vectors x and y from which their mean was taken, with inverse lengths i and j: rho = i j x . y.
        # So x gets i j y - rho i^2 x, whose mean is 0 as well.
        # Through the softmax, logits get y (g - y . g) / T from the gradient g of the probabilities y.
        # A division by 1 would cost as much as any other.
        s, t = (x.flatten(2) if self.temperature == 1 else x.flatten(2) / self.temperature for x in (student, teacher))
        s, t = s.softmax(1), t.softmax(1)
        value, gradient = s.new_zeros(()), torch.zeros_like(s)
        for dims, weight in ((1, self.inter), ((0, 2), self.intra)):
            x, y = (each - each.mean(dims, keepdim=True) for each in (s, t))
            i, j = (_inverse(each.square().sum(dims, keepdim=True)) for each in (x, y))
            correlation = (x * y).sum(dims, keepdim=True) * i * j
            value += weight * (1 - correlation.mean())
            share = weight / correlation.numel()
            gradient.addcmul_(y, i * j, value=-share).addcmul_(x, correlation * i.square(), value=share)
        gradient -= (gradient * s).sum(1, keepdim=True)
        return value, gradient.mul_(s).div_(self.temperature).view_as(student)


def _inverse(squares: Tensor) -> Tensor:
    """One over the root; 0 for lengths up to 1e-8."""
    return torch.where(squares > 1e-16, squares.clamp_min(1e-16).rsqrt(), 0)
