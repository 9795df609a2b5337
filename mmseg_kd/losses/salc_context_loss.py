import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import gram_distance, tensor_sum, unit


@MODELS.register_module()
class SALCContextLoss(DistillLoss):
    r"""Match the similarities of places in each stage of the student to those in its next, deeper stage (layer-wise
    context).

    .. math:: L = \frac{1}{(m - 1) N P^2} \sum_{l < m} \sum_n \sum_{ij} \big(\cos(f_{lni}, f_{lnj})
        - \cos(f_{l + 1, ni}, f_{l + 1, nj})\big)^2

    with m stages, each averaged (adaptive) to the same P places. The student teaches itself: the deeper stage of a pair
    gets no gradient from it, and no teacher is read. Deep stages know little early in training; a ``WarmupWeight``
    protects the shallow ones.

    Args:
        side: The largest side of the common grid; a stage with fewer pixels makes it smaller.

    Shape:
        student: maps (N, C, H, W) from shallow to deep, whose channels and sizes may differ. teacher: no map, given as
        ``teacher=[]`` in a term. A scalar, at most 4.

    Raises:
        ValueError: if ``side`` is less than 1, there are fewer than two maps, their batches differ, or a teacher's map
            is given.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import SALCContextLoss
        >>> shallow, deep = torch.ones(1, 2, 1, 2), torch.eye(2).view(1, 2, 1, 2)
        >>> round(SALCContextLoss()((shallow, deep), ()).item(), 4)  # two of the four cosines are 1 and 0
        0.5

    Paper: An et al., "Efficient Semantic Segmentation via Self-Attention and Self-Distillation" (T-ITS 2022, DOI
    10.1109/TITS.2021.3139001). No code is known and only the abstract was read, which says that deep layers pass their
    context to shallow ones; the formula is a reconstruction.
    """

    needs_equal_channels = False

    def __init__(self, side: int = 16) -> None:
        super().__init__()
        if side < 1:
            raise ValueError(f'SALCContextLoss: side must be >= 1, but is {side}')
        self.side = side

    def check(self, student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> None:
        if isinstance(student, Tensor) or len(student) < 2 or isinstance(teacher, Tensor) or len(teacher) > 0:
            raise ValueError(
                'SALCContextLoss takes two or more maps of the student and none of a teacher; give the '
                'term a list of student paths, from shallow to deep, and teacher=[]'
            )
        if len({len(x) for x in student}) > 1:
            raise ValueError(
                f'SALCContextLoss needs maps of one batch, but got {[tuple(x.shape) for x in student]}; '
                'give the term other paths'
            )

    def compute(self, student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Tensor:
        height, width = (min(self.side, *(x.shape[dim] for x in student)) for dim in (2, 3))
        stages = [unit(F.adaptive_avg_pool2d(x, (height, width)).flatten(2)) for x in student]
        distances = tensor_sum(gram_distance(x, deeper.detach()).mean() for x, deeper in zip(stages, stages[1:]))
        return distances / ((len(stages) - 1) * (height * width) ** 2)
