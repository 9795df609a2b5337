import torch
from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from .base import DistillLoss


@MODELS.register_module()
class ACELoss(DistillLoss):
    r"""Follow the teacher's class distribution where the teacher is right, and the label where it is wrong (adaptive
    cross-entropy).

    .. math:: L = -\frac{1}{|V|} \sum_{p \in V} \sum_c q_{pc} \log \mathrm{softmax}_c(z^s)_{pc}, \qquad
        q_p = \mathrm{softmax}(z^t_p) \ \text{if}\ \arg\max z^t_p = y_p, \ \mathrm{onehot}(y_p) \ \text{otherwise}

    with V the pixels of the batch that are not ignored. The loss contains the labels: it replaces the cross-entropy and
    a :class:`PixelWiseKDLoss` (temperature 1). Being a cross-entropy, it does not reach 0.

    Shape:
        Logits (N, C, H, W) of student and teacher, equal shapes; labels (N, h, w) less than C or ignored. A scalar in
        nats; 0 if all pixels are ignored.

    Raises:
        ValueError: if the shapes differ, or labels are missing.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import ACELoss
        >>> student, teacher = torch.zeros(1, 2, 1, 2), torch.tensor([[[[5.0, 5.0]], [[0.0, 0.0]]]])
        >>> loss = ACELoss()(student, teacher, labels=torch.tensor([[[0, 1]]]))
        >>> round(loss.item(), 4)  # log 2, whether the teacher is right (left) or not (right)
        0.6931

    Paper: Park and Heo, "Knowledge Distillation for Semantic Segmentation Using Channel and Spatial Correlations and
    Adaptive Cross Entropy" (Sensors 2020, DOI 10.3390/s20164616). No code is known. The formula is reconstructed from
    the abstract and one sentence of a survey (arXiv 2309.03659), and is not verified against the paper.
    """

    needs_labels = True
    least_channels = 2

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        valid = labels != IGNORE_INDEX
        labels = torch.where(valid, labels, 0).long()[:, None]
        logs = student.log_softmax(1)
        # In a tie the teacher counts as right if the label is one of the maxima; argmax would take the first of them.
        right = teacher.gather(1, labels) == teacher.amax(1, keepdim=True)
        scores = torch.where(right, (teacher.softmax(1) * logs).sum(1, keepdim=True), logs.gather(1, labels))
        return -torch.where(valid, scores.squeeze(1), 0).sum() / valid.sum().clamp_min(1)
