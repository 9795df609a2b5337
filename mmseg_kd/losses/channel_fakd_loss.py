from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from .base import count_images
from .fakd_loss import FAKDLoss, Student, of_two_classes


@MODELS.register_module()
class ChannelFAKDLoss(FAKDLoss):
    r""":class:`FAKDLoss` over places instead of classes: channel-wise distillation under all small changes of the
    student's features at once.

    The features of two places change independently. By Jensen's inequality, the mean of the channel-wise divergence
    (:class:`CWDLoss`) over all changes is at most

    .. math:: L = \frac{\tau^2}{N C} \sum_{nc} \Big( \sum_p q_{ncp} \big( \log q_{ncp} -
        \frac{z_{ncp}}{\tau} \big) + \log \sum_p \exp\Big( \frac{z_{ncp}}{\tau} +
        \frac{\lambda}{2 \tau^2} \sum_d \sigma_{y_p d}^2 w_{cd}^2 \Big) \Big)

    with q the softmax of the teacher's logits over the places p of one class map, and the other symbols as in
    :class:`FAKDLoss`. Both sums over p leave out ignored pixels.

    Args:
        strength: The factor :math:`\lambda` of the variances; 0 gives :class:`CWDLoss` on the pixels that are not
            ignored.
        temperature: The divisor :math:`\tau` of the logits of both networks.

    Shape:
        The inputs of :class:`FAKDLoss`; a scalar in nats. An image of ignored pixels adds 0.

    Raises:
        ValueError: as :class:`FAKDLoss`.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import ChannelFAKDLoss
        >>> features, weight, bias = torch.zeros(1, 3, 1, 2), torch.zeros(2, 3, 1, 1), torch.zeros(2)
        >>> loss, teacher, labels = ChannelFAKDLoss(), torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
        >>> loss.setup((features, weight, bias), teacher)  # a Distiller does this
        >>> loss((features, weight, bias), teacher, labels).item() < 1e-6  # constant maps in both networks
        True

    Paper: Yuan et al., "FAKD: Feature Augmented Knowledge Distillation for Semantic Segmentation" (WACV 2024, arXiv
    2208.14143), whose pixel loss a survey (arXiv 2309.03659) lists as channel-wise. The formula is a reconstruction,
    like that of :class:`FAKDLoss`.
    """

    def count(self, student: Student, teacher: Tensor, labels: Any = None) -> Tensor:
        """The images, also those without a labeled pixel."""
        return count_images(student)

    def compute(self, student: Student, teacher: Tensor, labels: Tensor) -> Tensor:
        student = of_two_classes(student)
        variances, weight = self.variances(student, labels), student[1].flatten(1)
        ignored = (labels == IGNORE_INDEX)[:, None]
        spread = (variances @ weight.square().T)[labels.long().masked_fill(ignored[:, 0], 0)].permute(0, 3, 1, 2)
        logits = F.conv2d(*student) / self.temperature
        augmented = logits + spread * (self.strength / (2 * self.temperature**2))
        # The lowest number gets the share 0; unlike minus infinity, its gradient is not NaN.
        targets, augmented = (
            x.masked_fill(ignored, torch.finfo(x.dtype).min).flatten(2) for x in (teacher / self.temperature, augmented)
        )
        logs = targets.log_softmax(2)
        bounds = (logs.exp() * (logs - logits.flatten(2))).sum(2) + augmented.logsumexp(2)
        counted = ~ignored.flatten(1).all(1, keepdim=True)
        return torch.where(counted, bounds, 0).mean() * self.temperature**2
