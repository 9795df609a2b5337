from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import softened_divergence


@MODELS.register_module()
class PixelWiseKDLoss(DistillLoss):
    r"""Match the softened class distribution of every pixel.

    .. math:: L = \frac{\tau^2}{|V|} \sum_{p \in V} \sum_c
        q^t_{pc} (\log q^t_{pc} - \log q^s_{pc}), \qquad q = \mathrm{softmax}_c(z / \tau)

    with V all pixels of the batch. The factor :math:`\tau^2` keeps the size of the gradient when the temperature
    changes.

    Args:
        temperature: The divisor :math:`\tau` of the logits of both networks; a larger one gives softer distributions.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes. A scalar in nats.

    Raises:
        ValueError: if ``temperature`` is not positive, or the shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import PixelWiseKDLoss
        >>> student, teacher = torch.zeros(1, 2, 1, 1), torch.tensor([0.9, 0.1]).log().view(1, 2, 1, 1)
        >>> round(PixelWiseKDLoss()(student, teacher).item(), 4)  # 0.9 log(0.9 / 0.5) + 0.1 log(0.1 / 0.5)
        0.3681

    Paper: Hinton et al., "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531); per pixel in Liu et al.,
    "Structured Knowledge Distillation" (CVPR 2019, arXiv 1903.04197), whose published code sums over the batch; IFVD's
    and TorchDistiller's code divide by C and leave out :math:`\tau^2`. Here the mean over pixels is taken. The survey
    (arXiv 2309.03659) writes a cross-entropy, which differs by a constant and has the same gradient.
    """

    least_channels = 2

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'{type(self).__name__}: temperature must be > 0, but is {temperature}')
        self.temperature = temperature

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        divergence = softened_divergence(student, teacher, self.temperature, dim=1)
        return divergence * (self.temperature**2 * student.shape[1] / student.numel())
