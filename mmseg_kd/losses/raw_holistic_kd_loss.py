from mmseg.registry import MODELS
from torch import Tensor

from .critic import BatchNormCritic, slope_penalty
from .holistic_kd_loss import HolisticKDLoss


@MODELS.register_module()
class RawHolisticKDLoss(HolisticKDLoss):
    r""":class:`HolisticKDLoss` as SKD's published code computes it: raw logits, batch normalization, and no image.

    .. math:: L_G = -\mathrm{mean}\, D(z^s), \qquad
        L_D = s \big( \mathrm{mean}\, D(z^s) - \mathrm{mean}\, D(z^t) + \lambda\, \mathrm{mean}_n
        (\|\nabla \Sigma D(\hat z_n)\|_2 - 1)^2 \big)

    with z the logits, D a :class:`~mmseg_kd.losses.critic.BatchNormCritic` that sees student, teacher and the maps
    between them as one batch each, and :math:`\Sigma D` the sum of its map. Unlike that of a softmax, the gradient does
    not vanish where the student is confident: there it is 10 to 200 times that of :class:`HolisticKDLoss`. The
    discriminator cannot see how confident a network is, because the normalization removes the scale of its logits.

    Args:
        penalty: The weight :math:`\lambda` of the gradient penalty.
        critic_scale: The factor s of the discriminator's own loss. It changes nothing under Adam, and the step under
            SGD.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes. A scalar without lower bound.

    Raises:
        ValueError: if ``penalty`` is negative or ``critic_scale`` not positive, images are given, the shapes disagree,
            the discriminator does not exist yet, or it was set up for other inputs.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import RawHolisticKDLoss
        >>> loss, student, teacher = RawHolisticKDLoss(), torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
        >>> loss.setup(student, teacher)  # a Distiller does this
        >>> loss(student, teacher).shape, type(loss.critic).__name__
        (torch.Size([]), 'BatchNormCritic')

    Paper: Liu et al., "Structured Knowledge Distillation" (CVPR 2019, arXiv 1903.04197), the published code; IFVD's
    code shares it. Deviation: small maps are resized, where the code fails.
    """

    def __init__(self, penalty: float = 10.0, critic_scale: float = 0.1) -> None:
        super().__init__(penalty)
        if critic_scale <= 0:
            raise ValueError(f'RawHolisticKDLoss: critic_scale must be > 0, but is {critic_scale}')
        self.critic_scale = critic_scale

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        self.critic = BatchNormCritic(teacher.shape[1])

    def check(self, student: Tensor, teacher: Tensor) -> None:
        if not isinstance(student, Tensor) or not isinstance(teacher, Tensor):
            raise ValueError(
                'RawHolisticKDLoss takes logits of the student and of the teacher, and no images; give '
                "the term the paths student='logits', teacher='logits'"
            )
        super().check(student, teacher)

    def critic_loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.critic_scale * super().critic_loss(student, teacher)

    def judge(self, real: Tensor, fake: Tensor) -> Tensor:
        # Two batches: in a joint one, the normalization would reveal which of the two has the larger logits.
        slope = slope_penalty(lambda x: self.critic(x).flatten(1).sum(1, keepdim=True), real, fake)
        return self.critic(fake).mean() - self.critic(real).mean() + self.penalty * slope

    @staticmethod
    def _seen(prediction: Tensor, student: Tensor) -> Tensor:
        return prediction
