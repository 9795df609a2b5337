from mmseg.registry import MODELS
from torch import Tensor, nn

from .base import DistillLoss, Maps, pairs
from .cbam import CBAM
from .ops import tensor_sum


@MODELS.register_module()
class AttnFDLoss(DistillLoss):
    r"""Match the direction of the whole feature tensor after attention has refined the student's (attention-guided
    feature distillation).

    .. math:: L = \sum_l \Big\| \frac{A_l(f^s_l)}{\|A_l(f^s_l)\|_2} - \frac{f^t_l}{\|f^t_l\|_2} \Big\|_2^2

    with norms over the whole batch of one process. A is a :class:`~mmseg_kd.losses.cbam.CBAM`, followed by a 1x1
    convolution without bias to the teacher's channels and a batch normalization. :meth:`setup` creates one per level;
    they train with the student from the first step, and only the loss uses them.

    Shape:
        Features (N, C, H, W) of student and teacher, channels may differ, or tuples of such maps, one per level. A
        scalar, at most 4 for each level, whatever the size of the batch.

    Raises:
        ValueError: if batch or spatial sizes, or the numbers of maps, differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import AttnFDLoss
        >>> loss, student, teacher = AttnFDLoss(), torch.rand(2, 4, 3, 3), torch.rand(2, 6, 3, 3)
        >>> loss.setup(student, teacher)  # a Distiller does this
        >>> 0 <= loss(student, teacher).item() <= 4
        True

    Paper: Mansourian et al., "Attention-guided Feature Distillation for Semantic Segmentation" (arXiv 2403.05451),
    weight 2 at the last stage (before its ReLU), after ASPP, and in the decoder. Deviations from the published code:
    there, the teacher passes through attention that is never trained and is read in training mode, and the connectors
    train in the first epoch only; here, the teacher's features are used directly, and all of A trains throughout. The
    code divides this loss by the number of images, and its cross-entropy, which is a mean over pixels, by the same
    number once more. Here neither is divided, so that the published weight means the same at every batch size.
    """

    needs_equal_channels = False

    def __init__(self) -> None:
        super().__init__()
        self.refiners = nn.ModuleList()

    def setup(self, student: Maps, teacher: Maps) -> None:
        for s, t in pairs(student, teacher, 'AttnFDLoss'):
            self.refiners.append(
                nn.Sequential(
                    CBAM(s.shape[1]), nn.Conv2d(s.shape[1], t.shape[1], 1, bias=False), nn.BatchNorm2d(t.shape[1])
                )
            )

    def check(self, student: Maps, teacher: Maps) -> None:
        super().check(student, teacher)
        levels = len(pairs(student, teacher))
        if levels != len(self.refiners):
            raise ValueError(
                f'AttnFDLoss was set up for {len(self.refiners)} maps, but got {levels}; call '
                'setup(student, teacher) with the maps of the loss'
            )

    def compute(self, student: Maps, teacher: Maps) -> Tensor:
        return tensor_sum(_distance(refine(s), t) for refine, (s, t) in zip(self.refiners, pairs(student, teacher)))


def _distance(student: Tensor, teacher: Tensor) -> Tensor:
    # On a CPU, one sum over so many float32 numbers loses digits; a sum of the sums of the maps does not.
    student, teacher = (x / x.flatten(2).norm(dim=2).norm().clamp_min(1e-12) for x in (student, teacher))
    return (student - teacher).square().sum()
