import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from .base import DistillLoss


@MODELS.register_module()
class PseudoLabelLoss(DistillLoss):
    r"""Learn the teacher's most likely class as if it were the label.

    .. math:: L = -\frac{1}{|V|} \sum_{p \in V} \log \mathrm{softmax}_c(z^s_p)_{y_p}, \qquad y_p = \arg\max_c z^t_{pc}

    with V the pixels that are not ignored. Nothing else is read of the labels.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes; labels (N, H, W) at any resolution, 255 for ignored
        pixels (padding) and anything else for those that count. A scalar in nats; 0 if all pixels are ignored.

    Raises:
        ValueError: if the shapes differ, or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import PseudoLabelLoss
        >>> student, teacher = torch.zeros(1, 2, 1, 2), torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
        >>> round(PseudoLabelLoss()(student, teacher, labels=torch.tensor([[[0, 255]]])).item(), 4)  # log 2
        0.6931

    Paper: Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision" (CVPR 2021, arXiv
    2106.01226), and Qin et al., "Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised Semantic
    Segmentation" (ECCV 2022, arXiv 2208.10169), the pixel level. Both take every pseudo-label, however sure the teacher
    is. Deviations: their code resizes the logits to the images, here the grid is the student's; and their code counts
    all pixels, including padding and those whose true label is ignored.
    """

    needs_labels = True
    least_channels = 2

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        counted = labels != IGNORE_INDEX
        total = F.cross_entropy(student, teacher.argmax(1).where(counted, -100), ignore_index=-100, reduction='sum')
        return total / counted.sum().clamp_min(1)
