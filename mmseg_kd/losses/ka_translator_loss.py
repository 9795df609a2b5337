import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from .base import AdversarialLoss, check_same_shape
from .ka_adaptation_loss import KAAdaptationLoss
from .ka_affinity_loss import KAAffinityLoss


@MODELS.register_module()
class KATranslatorLoss(AdversarialLoss):
    r"""Match a compact code of the teacher's features, learned by an auto-encoder beforehand (knowledge adaptation).

    .. math:: L = \beta\, L_{adapt}\big(C_f(f^s), E(f^t)\big) + \gamma\, L_{aff}\big(C_a(f^s), E(f^t)\big), \qquad
        L_E = \mathrm{mean}\, \big(f^t - D(E(f^t))\big)^2 + \alpha\, \mathrm{mean}\, |E(f^t)|

    with :class:`KAAdaptationLoss` and :class:`KAAffinityLoss`. The encoder E consists of three 3x3 convolutions with
    BatchNorm and ReLU that reduce the teacher's channels to the student's. The decoder D is its mirror, without a last
    ReLU. :math:`C_f` and :math:`C_a` are a 3x3 convolution with BatchNorm and ReLU each; they train with the student.

    The auto-encoder is the auxiliary module of the term (``critic``): it learns :math:`L_E` with an optimizer of its
    own while the weight of the term is 0, and is fixed from then on, its BatchNorm included. The weight is therefore a
    schedule, such as ``dict(type='DelayedWeight', weight=1.0, begin=372)``: one epoch of Cityscapes at batch 8.

    Args:
        adaptation: The weight :math:`\beta` of the adaptation.
        affinity: The weight :math:`\gamma` of the affinity.
        sparsity: The weight :math:`\alpha` of the mean of the code.

    Shape:
        Features (N, C, H, W) of student and teacher; channels may differ. A scalar.

    Raises:
        ValueError: if a weight is negative, batch or spatial sizes differ, or the auto-encoder does not exist yet or
            was set up for other channels.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import KATranslatorLoss
        >>> loss, student, teacher = KATranslatorLoss(), torch.rand(2, 4, 3, 3), torch.rand(2, 16, 3, 3)
        >>> loss.setup(student, teacher)  # a Distiller does this
        >>> loss(student, teacher).shape, loss.critic.encoder(teacher).shape
        (torch.Size([]), torch.Size([2, 4, 3, 3]))

    Paper: He et al., "Knowledge Adaptation for Efficient Semantic Segmentation" (CVPR 2019, arXiv 1903.04688): one
    epoch of SGD at learning rate 0.1 for the auto-encoder. No code of the authors is known; layers and weights are
    taken from notes on the paper, where the sparsity is 1e-6 of a sum. Deviations: the distances are means; and the
    encoder keeps the size of the map, because the distiller has resized the teacher to the student's grid, where the
    paper's encoder strides from the finer grid of its teacher.
    """

    needs_equal_channels = False
    critic_first = True

    def __init__(self, adaptation: float = 50.0, affinity: float = 1.0, sparsity: float = 1e-6) -> None:
        super().__init__()
        if min(adaptation, affinity, sparsity) < 0:
            raise ValueError(
                f'KATranslatorLoss: adaptation, affinity and sparsity must be >= 0, but are {adaptation}, '
                f'{affinity} and {sparsity}'
            )
        self.adaptation, self.affinity, self.sparsity = adaptation, affinity, sparsity
        self.losses = nn.ModuleList([KAAdaptationLoss(), KAAffinityLoss()])

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        code, full = student.shape[1], teacher.shape[1]
        widths = [full, max(code, full // 2), max(code, full // 4), code]
        encoder = [_block(*pair) for pair in zip(widths, widths[1:])]
        decoder = [_block(*pair) for pair in zip(widths[:0:-1], widths[-2:0:-1])]
        self.critic = nn.ModuleDict(
            dict(
                encoder=nn.Sequential(*encoder),
                decoder=nn.Sequential(*decoder, nn.Conv2d(widths[1], full, 3, padding=1)),
            )
        )
        self.adapters = nn.ModuleList([_block(code, code), _block(code, code)])

    def check(self, student: Tensor, teacher: Tensor) -> None:
        check_same_shape('KATranslatorLoss', student, teacher, channels=False)
        known: tuple | None = self.critic and tuple(
            next(blocks.parameters()).shape[1] for blocks in (self.adapters, self.critic.encoder)
        )
        found = student.shape[1], teacher.shape[1]
        if known != found:
            raise ValueError(
                f'KATranslatorLoss was set up for {known} channels, but got {found}; call setup(student, '
                'teacher) with the maps of the loss'
            )

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        with torch.no_grad():
            code = self.critic.encoder.eval()(teacher)
        losses = (loss(adapter(student), code) for loss, adapter in zip(self.losses, self.adapters))
        return sum(weight * loss for weight, loss in zip((self.adaptation, self.affinity), losses))

    def critic_loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss L_E of the auto-encoder, a scalar; its gradient reaches the parameters of the auto-encoder only."""
        _, teacher = self.prepare(student, teacher)
        with torch.autocast(teacher.device.type, enabled=False):
            code = self.critic.encoder.train(self.training)(teacher)
            return F.mse_loss(self.critic.decoder(code), teacher) + self.sparsity * code.mean()


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
