from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..constants import IGNORE_INDEX
from .apd_context_loss import APDContextLoss
from .apd_prototype_loss import APDPrototypeLoss
from .base import AdversarialLoss
from .ops import class_masks, tensor_sum
from .prototypes import prototype_cosines


@MODELS.register_module()
class APDLoss(AdversarialLoss):
    r"""Match the prototypes of the classes, and their scores for each pixel, behind a head that learns from the labels
    on top of the teacher.

    .. math:: L = \beta\, L_{context}(f^s, H(f^t)) + \gamma\, L_{prototype}(f^s, H(f^t)), \qquad
        L_H = \mathrm{CE}\big(s_H\, h_p \cdot c_k,\; y_p\big)

    with :class:`APDContextLoss` and :class:`APDPrototypeLoss`. H consists of two 1x1 convolutions with a ReLU between
    them; h are the features behind it, scaled to length one; c are the prototypes of the classes in the batch of one
    process (0 for a class that does not occur). The cross-entropy covers all classes, on the pixels that are not
    ignored. H is the auxiliary module of the term (``critic``): it learns :math:`L_H` with an optimizer of its own,
    while the teacher does not change. The student's head is the adapter of the term: ``dict(type='MLPAdapter')``.

    Args:
        context: The weight :math:`\beta` of the context.
        prototype: The weight :math:`\gamma` of the prototypes.
        scale: The factor of the cosines in the context.
        head_scale: The factor :math:`s_H` of the cosines in the cross-entropy.

    Shape:
        Features (N, C, H, W) of student and teacher, equal channels; labels (N, h, w). A scalar; 0 if all pixels are
        ignored.

    Raises:
        ValueError: if an argument is negative or a scale is 0, the shapes differ, labels are missing, or the head does
            not exist yet or was set up for other channels.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import APDLoss
        >>> loss, labels = APDLoss(), torch.tensor([[[0, 1]]])
        >>> student, teacher = torch.rand(1, 4, 1, 2), torch.rand(1, 4, 1, 2)
        >>> loss.setup(student, teacher)  # a Distiller does this
        >>> loss(student, teacher, labels).shape, loss.critic_loss(student, teacher, labels).requires_grad
        (torch.Size([]), True)

    Paper: Tian et al., "Adaptive Perspective Distillation for Semantic Segmentation" (TPAMI 2023, DOI
    10.1109/TPAMI.2022.3159581). Its published code has both scales at 10, divides the context by the number of classes
    that occur in the batch of the process, trains H with Adam at 1e-5 and the student's head at ten times the learning
    rate. Deviations: the cross-entropy is computed on the grid of the features, where the code resizes the scores to
    the labels; and those of :class:`APDContextLoss`.
    """

    needs_labels = True

    def __init__(
        self, context: float = 10.0, prototype: float = 10.0, scale: float = 10.0, head_scale: float = 10.0
    ) -> None:
        super().__init__()
        if min(context, prototype) < 0 or head_scale <= 0:
            raise ValueError(
                f'APDLoss: context and prototype must be >= 0 and head_scale > 0, but are {context}, '
                f'{prototype} and {head_scale}'
            )
        self.weights, self.head_scale = (context, prototype), head_scale
        self.losses = nn.ModuleList([APDContextLoss(scale), APDPrototypeLoss()])

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        channels = teacher.shape[1]
        self.critic = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, channels, 1))

    def check(self, student: Tensor, teacher: Tensor) -> None:
        super().check(student, teacher)
        known = self.critic and self.critic[0].in_channels
        if known != teacher.shape[1]:
            raise ValueError(
                f'APDLoss was set up for {known} channels, but got {teacher.shape[1]}; call setup(student, '
                'teacher) with the maps of the loss'
            )

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            teacher = self.critic(teacher)
        losses: list[Any] = list(self.losses)
        for loss in losses:
            loss.classes = self.classes
        return tensor_sum(w * loss.compute(student, teacher, labels) for w, loss in zip(self.weights, losses))

    def critic_loss(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """The loss L_H of the teacher's head, a scalar; its gradient reaches the parameters of the head only."""
        _, teacher = self.prepare(student, teacher)
        labels = self.sample(labels, teacher.shape[2:]).long()
        with torch.autocast(teacher.device.type, enabled=False):
            features = self.critic(teacher)
            scores = self.head_scale * prototype_cosines(features, class_masks(labels, self.classes, features.dtype))
            entropy = F.cross_entropy(scores, labels.flatten(1), ignore_index=IGNORE_INDEX, reduction='sum')
            return entropy / (labels != IGNORE_INDEX).sum().clamp_min(1)
