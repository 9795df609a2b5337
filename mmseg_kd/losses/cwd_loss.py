from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import softened_divergence


@MODELS.register_module()
class CWDLoss(DistillLoss):
    r"""Match where in the image every channel is active (channel-wise distillation).

    .. math:: L = \frac{\tau^2}{N C} \sum_{nc} \sum_p q^t_{ncp} (\log q^t_{ncp} - \log q^s_{ncp}),
        \qquad q = \mathrm{softmax}_p(x / \tau)

    Args:
        temperature: The divisor :math:`\tau` of the activations of both networks; a larger one compares wider regions.

    Shape:
        Logits or features (N, C, H, W) of student and teacher, equal shapes. A scalar in nats. It does not fall with
        the size of the map.

    Raises:
        ValueError: if ``temperature`` is not positive, or the shapes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import CWDLoss
        >>> student, teacher = torch.tensor([[[[0.0, 0.0]]]]), torch.tensor([[[[3.0, 1.0]]]])
        >>> round(CWDLoss(temperature=1.0)(student, teacher).item(), 4)
        0.3278

    Paper: Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction" (ICCV 2021, arXiv 2011.13256),
    temperature 4 with weight 3 on logits. C is the number of channels compared, those of the teacher; CIRKD's and
    mmsegmentation-distiller's code divide by the student's channels before the adapter. Ignored pixels count, as in all
    published code.
    """

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'CWDLoss: temperature must be > 0, but is {temperature}')
        self.temperature = temperature

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        divergence = softened_divergence(student.flatten(2), teacher.flatten(2), self.temperature, dim=2)
        return divergence * (self.temperature**2 / (student.shape[0] * student.shape[1]))
