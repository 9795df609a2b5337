import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from .base import DistillLoss


@MODELS.register_module()
class PseudoLabelLoss(DistillLoss):
    r"""Learn the class that the teacher thinks most likely, as if it were the truth.

    .. math:: L = -\frac{1}{|V|} \sum_{p \in V} \log \mathrm{softmax}_c(z^s_p)_{y_p}, \qquad y_p = \arg\max_c z^t_{pc}

    with V the pixels that are not void. That is all that is read of the labels.

    Shape:
        logits (N, C, H, W) of student and teacher, equal shapes; labels (N, H, W) at any resolution, 255 where a pixel
        does         not count (padding) and anything else where it does. A scalar in nats; 0 if no pixel counts.

    Raises:
        ValueError: if the shapes differ, or labels are missing.

    Paper: Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision" (CVPR 2021,
    arXiv 2106.01226), and Qin et al., "Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised
    Semantic Segmentation" (ECCV 2022, arXiv 2208.10169), the pixel level. Both take every label, however sure the
    teacher is.
    Deviations: their code resizes the logits to the images, here the grid is the student's; and it counts all pixels,
    those of padding and those whose true label is void included.
    """

    needs_labels = True
    least_channels = 2

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        counted = labels != IGNORE_INDEX
        total = F.cross_entropy(student, teacher.argmax(1).where(counted, -100), ignore_index=-100, reduction='sum')
        return total / counted.sum().clamp_min(1)
