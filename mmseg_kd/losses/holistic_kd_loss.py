from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .base import AdversarialLoss, Maps, check_same_shape
from .critic import HolisticCritic, frozen, slope_penalty


@MODELS.register_module()
class HolisticKDLoss(AdversarialLoss):
    r"""Make the student's whole prediction indistinguishable from the teacher's for a discriminator.

    .. math:: L_G = -\mathrm{mean}\, D(x^s), \qquad
        L_D = \mathrm{mean}\, D(x^s) - \mathrm{mean}\, D(x^t) + \lambda\, \mathrm{mean}_n
        \big(\|\nabla \bar D(\hat x_n)\|_2 - 1\big)^2

    with x the softmax of the logits beside the image (resized to the grid of the logits), :math:`\hat x_n = a_n x^t_n +
    (1 - a_n) x^s_n` and :math:`a_n \sim U(0, 1)`; :math:`\bar D` is the mean of D's map.

    Calling the loss gives L_G and leaves no gradient in the discriminator; :meth:`critic_loss` gives L_D and leaves
    none in the student. One backward pass of weight * L_G + L_D therefore serves both. The discriminator ``critic``, a
    :class:`HolisticCritic` that :meth:`setup` creates for the channels of its input, has an optimizer of its own.

    Args:
        penalty: The weight :math:`\lambda` of the gradient penalty.

    Shape:
        student: logits and images, ((N, C, H, W), (N, 3, h, w)), or logits alone for a discriminator that does not see
        the image. teacher: logits (N, C, H, W). A scalar without lower bound.

    Raises:
        ValueError: if ``penalty`` is negative, the shapes disagree, the discriminator does not exist yet, or it was set
            up for other inputs.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import HolisticKDLoss
        >>> loss, logits, images = HolisticKDLoss(), torch.rand(1, 2, 8, 8), torch.rand(1, 3, 16, 16)
        >>> loss.setup((logits, images), logits)  # a Distiller does this
        >>> loss((logits, images), logits).shape, loss.critic.in_channels
        (torch.Size([]), 5)

    Paper: Liu et al., "Structured Knowledge Distillation" (CVPR 2019, arXiv 1903.04197): WGAN-GP on the prediction
    given the image. The penalty takes the mean of D's map, which is what the objective compares, and small maps are
    resized. The last version of the published code sees raw logits through batch normalization and no image:
    :class:`RawHolisticKDLoss`. CIRKD's hinge objective is :class:`HingeHolisticKDLoss`.
    """

    least_channels = 2

    def __init__(self, penalty: float = 10.0) -> None:
        super().__init__()
        if penalty < 0:
            raise ValueError(f'HolisticKDLoss: penalty must be >= 0, but is {penalty}')
        self.penalty = penalty

    def setup(self, student: Any, teacher: Tensor) -> None:
        maps = (student,) if isinstance(student, Tensor) else student
        self.critic = HolisticCritic(sum(x.shape[1] for x in maps))

    def check(self, student: Any, teacher: Tensor) -> None:
        name = type(self).__name__
        maps = (student,) if isinstance(student, Tensor) else student
        if len(maps) > 2 or not isinstance(teacher, Tensor):
            raise ValueError(
                f'{name} takes logits, or (logits, images), of the student and logits of the teacher; '
                f'give the term these paths'
            )
        check_same_shape(name, maps[0], teacher)
        self.check_channels(maps[0])
        if self.critic is None:
            raise ValueError(f'{name} has no discriminator yet: call setup(student, teacher) before the loss')
        channels = sum(x.shape[1] for x in maps)
        if channels != self.critic.in_channels or len(maps[-1]) != len(teacher):
            raise ValueError(
                f'{name} was set up for {self.critic.in_channels} channels of logits and images in '
                f'equal batches, but got {[tuple(x.shape) for x in maps]}; give the paths of the setup'
            )

    def compute(self, student: Maps, teacher: Tensor) -> Tensor:
        return -frozen(self.critic, self._seen(student, student)).mean()

    def critic_loss(self, student: Any, teacher: Tensor) -> Tensor:
        """The loss L_D of the discriminator, a scalar; its gradient reaches the discriminator's parameters only."""
        student, teacher = self.prepare(student, teacher)
        with torch.autocast(teacher.device.type, enabled=False):
            return self.judge(self._seen(teacher, student), self._seen(student, student).detach())

    def judge(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's objective on its inputs from teacher and student, (N, in_channels, H, W) each."""
        score_real, score_fake = self.critic(torch.cat([real, fake])).chunk(2)
        return score_fake.mean() - score_real.mean() + self.penalty * slope_penalty(self.critic, real, fake)

    @staticmethod
    def _seen(prediction: Any, student: Any) -> Tensor:
        """The input of the discriminator: the probabilities, behind the image if there is one."""
        logits = prediction if isinstance(prediction, Tensor) else prediction[0]
        probabilities = logits.softmax(1)
        if isinstance(student, Tensor):
            return probabilities
        images = F.interpolate(student[1].to(logits.dtype), size=logits.shape[2:], mode='bilinear', align_corners=False)
        return torch.cat([images.detach(), probabilities], dim=1)


@MODELS.register_module()
class HingeHolisticKDLoss(HolisticKDLoss):
    r""":class:`HolisticKDLoss` with the hinge objective of CIRKD's published code.

    .. math:: L_D = \mathrm{mean} \max(0, 1 - D(x^t)) + \mathrm{mean} \max(0, 1 + D(x^s))

    There is no gradient penalty; only the spectral normalization bounds the discriminator.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import HingeHolisticKDLoss
        >>> loss, logits = HingeHolisticKDLoss(), torch.rand(1, 2, 8, 8)
        >>> loss.setup(logits, logits)  # a Distiller does this
        >>> loss.critic_loss(logits, logits).item() > 0
        True
    """

    def __init__(self) -> None:
        super().__init__(penalty=0.0)

    def judge(self, real: Tensor, fake: Tensor) -> Tensor:
        score_real, score_fake = self.critic(torch.cat([real, fake])).chunk(2)
        return F.relu(1 - score_real).mean() + F.relu(1 + score_fake).mean()
