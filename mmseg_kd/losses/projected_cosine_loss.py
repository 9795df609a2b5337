from mmseg.registry import MODELS
from torch import Tensor, nn

from .base import Maps, pairs
from .cosine_feature_loss import CosineFeatureLoss


@MODELS.register_module()
class ProjectedCosineLoss(CosineFeatureLoss):
    r"""Match the direction of the student's features to the teacher's, projected to the student's channels by a trained
    1x1 convolution.

    .. math:: L = \frac{1}{|l|} \sum_l \mathrm{mean}_{np} \big(1 - \cos(f^s_{lnp}, W_l f^t_{lnp})\big)

    The adapter of a term projects the student and leaves the target fixed. Here the student's own features are
    compared, and the target moves with the projection. The projections, which :meth:`setup` creates, are used in
    training only. The teacher's maps arrive resized to the student's grid; a 1x1 convolution and bilinear resizing
    commute.

    A moving target has a trivial solution: where all vectors of a map have the same direction, the loss is zero,
    whatever the teacher's features. Students do reach it (docs/benchmarks/compact.md);
    :class:`~mmseg_kd.losses.CosineFeatureLoss` with the adapter of a term keeps the target fixed.

    Shape:
        Features of student (N, C_s, H, W) and teacher (N, C_t, H, W), or tuples of such maps, one per level l. A scalar
        from 0 to 2. A zero vector adds 1 and gets no gradient.

    Raises:
        ValueError: if the batch or spatial sizes, or the numbers of maps, differ, the projections do not exist yet, or
            they were set up for other channels.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import ProjectedCosineLoss
        >>> loss, student, teacher = ProjectedCosineLoss(), torch.rand(1, 4, 3, 3), torch.rand(1, 6, 3, 3)
        >>> loss.setup(student, teacher)  # a Distiller does this
        >>> loss.projections[0].weight.shape, 0 <= loss(student, teacher).item() <= 2
        (torch.Size([4, 6, 1, 1]), True)

    Source: the feature distillation of a compact network for VOC 2012 from FCN-ResNet50, on four levels.
    """

    needs_equal_channels = False

    def __init__(self) -> None:
        super().__init__()
        self.projections = nn.ModuleList()

    def setup(self, student: Maps, teacher: Maps) -> None:
        self.projections = nn.ModuleList(
            nn.Conv2d(t.shape[1], s.shape[1], 1, bias=False) for s, t in pairs(student, teacher)
        )

    def check(self, student: Maps, teacher: Maps) -> None:
        super().check(student, teacher)
        expected = [(conv.out_channels, conv.in_channels) for conv in self.projections]
        given = [(s.shape[1], t.shape[1]) for s, t in pairs(student, teacher)]
        if expected != given:
            what = f'was set up for {expected} channels' if expected else 'has no projections yet'
            raise ValueError(
                f'ProjectedCosineLoss {what}, but the levels have {given} channels (student, teacher); '
                'call setup(student, teacher) with the same paths before the loss'
            )

    def compute(self, student: Maps, teacher: Maps) -> Tensor:
        teachers = (teacher,) if isinstance(teacher, Tensor) else teacher
        students = (student,) if isinstance(student, Tensor) else student
        return super().compute(students, tuple(conv(t) for conv, t in zip(self.projections, teachers)))
