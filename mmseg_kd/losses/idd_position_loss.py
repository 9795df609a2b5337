import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from .base import AdversarialLoss
from .critic import frozen


@MODELS.register_module()
class IDDPositionLoss(AdversarialLoss):
    r"""Match the position of a pixel as read from the student's features to that read from the teacher's.

    .. math:: L = \mathrm{mean}\, \big(G(f^s) - G(f^t)\big)^2, \qquad
        L_G = \mathrm{mean}\, \big(G(f^t) - (x, y)\big)^2

    with G a 3x3 convolution to two channels, which estimates the position (x, y) in the crop, each from 0 to 1, from
    the teacher's features. It has no padding, because padding would itself reveal the border. G is the auxiliary module
    of the term (``critic``): it learns :math:`L_G` with an optimizer of its own while the weight of the term is 0, and
    is fixed from then on. The weight is therefore a schedule, such as ``dict(type='DelayedWeight', weight=1.0,
    begin=2000)``. If :math:`L_G` stays near 1 / 12, the teacher holds no positions and the loss teaches nothing.

    Shape:
        Features (N, C, H, W) of student and teacher, equal shapes, sides of at least 3. A scalar.

    Raises:
        ValueError: if the shapes differ, a side is less than 3, or G does not exist yet or was set up for other
            channels.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import IDDPositionLoss
        >>> loss, features = IDDPositionLoss(), torch.rand(1, 4, 5, 5)
        >>> loss.setup(features, features)  # a Distiller does this
        >>> loss(features, features).item(), loss.critic_loss(features, features).requires_grad
        (0.0, True)

    Paper: Zhang et al., "Distilling Inter-Class Distance for Semantic Segmentation" (IJCAI 2022, arXiv 2205.03650). No
    code is known and only the abstract was read, which names the module. Its mechanism is a reconstruction after Islam
    et al., "How Much Position Information Do Convolutional Neural Networks Encode?" (ICLR 2020), and unverified.
    """

    critic_first = True

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        self.critic = nn.Conv2d(teacher.shape[1], 2, 3)
        nn.init.xavier_uniform_(self.critic.weight)

    def check(self, student: Tensor, teacher: Tensor) -> None:
        super().check(student, teacher)
        if min(teacher.shape[2:]) < 3:
            raise ValueError(
                f'IDDPositionLoss needs maps of at least 3 x 3, but got {tuple(teacher.shape[2:])}; give '
                'larger crops or earlier layers'
            )
        channels: int | None = self.critic and self.critic.in_channels
        if channels != teacher.shape[1]:
            raise ValueError(
                f'IDDPositionLoss was set up for {channels} channels, but got {teacher.shape[1]}; call '
                'setup(student, teacher) with the maps of the loss'
            )

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        return F.mse_loss(frozen(self.critic, student), frozen(self.critic, teacher))

    def critic_loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss of G, a scalar; its gradient reaches the parameters of G only."""
        _, teacher = self.prepare(student, teacher)
        with torch.autocast(teacher.device.type, enabled=False):
            return (self.critic(teacher) - _positions(teacher)[:, 1:-1, 1:-1]).square().mean()


def _positions(x: Tensor) -> Tensor:
    """Columns and rows of a map (N, C, H, W), each from 0 to 1, as (2, H, W)."""
    rows, columns = (torch.linspace(0, 1, side, dtype=x.dtype, device=x.device) for side in x.shape[2:])
    return torch.stack(torch.meshgrid(columns, rows, indexing='xy'))
