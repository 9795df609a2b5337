"""The segmentor whose teacher is a moving average of its student."""

import copy
import logging
from typing import Any

import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor

from .semi_supervised_distiller import SemiSupervisedDistiller
from .teacher import OnlineTeacher


@MODELS.register_module()
class MeanTeacher(SemiSupervisedDistiller):
    r"""A :class:`SemiSupervisedDistiller` whose single, unnamed teacher is a moving average of the student.

    .. math:: \theta_t \leftarrow m \theta_t + (1 - m) \theta_s

    after every iteration, by :class:`~mmseg_kd.engine.MeanTeacherHook`, which sets m. The teacher begins as a copy of
    the student, is in eval mode, is saved and resumed with the model, and gets no gradient. The student is tested and
    exported.

    Args:
        student: The config of the segmentor to train.
        terms: The terms on labeled images, as for :class:`SemiSupervisedDistiller`.
        unlabeled_terms: The terms on unlabeled images.
        mix: The config of a :class:`CutMix`, which needs two unlabeled branches.
        data_preprocessor: The data preprocessor for a student that has none.
        init_cfg: The config of the initialization, as in any MMEngine module.

    Raises:
        ValueError: in the cases of :class:`SemiSupervisedDistiller`.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.distillers import MeanTeacher
        >>> from mmseg_kd.testing.toys import toy_branch_batch, toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> term = dict(student='logits', teacher='logits', loss=dict(type='ProbabilityMSELoss'), weight=100.0)
        >>> model = MeanTeacher(toy_segmentor(auxiliary=False), unlabeled_terms=dict(loss_mt=term))
        >>> losses = model.loss(**model.data_preprocessor(toy_branch_batch(), training=True))
        >>> sorted(losses)
        ['decode.acc_seg', 'decode.loss_ce', 'loss_mt']
        >>> model.update_teacher(momentum=0.99)  # MeanTeacherHook does this after every iteration

    Paper: Tarvainen and Valpola, "Mean teachers are better role models" (NIPS 2017, arXiv 1703.01780), with
    :class:`~mmseg_kd.losses.ProbabilityMSELoss` on labeled and unlabeled images. Deviations from the code of the
    comparison in Chen et al. (CVPR 2021, arXiv 2106.01226): the teacher has the student's BatchNorm statistics and is
    in eval mode, where the code keeps it in train mode with its own statistics; and it is updated after the step of the
    optimizer, where the code does so before.
    """

    plain_prefixes = ('student.', 'teacher.')

    def __init__(
        self,
        student: dict,
        terms: dict[str, dict] | None = None,
        unlabeled_terms: dict[str, dict] | None = None,
        mix: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(student, dict(model=student), terms, unlabeled_terms, mix, data_preprocessor, init_cfg)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.teachers = {'': OnlineTeacher(self.teacher)}
        self._unmoved = 0
        self.train(self.training)

    def train(self, mode: bool = True) -> 'MeanTeacher':
        """Set the mode of all but the teacher."""
        super().train(mode)
        self.teacher.eval()
        return self

    def init_weights(self) -> None:
        """Initialize the student, and copy it to the teacher."""
        super().init_weights()
        self.update_teacher(momentum=0.0)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Move the teacher's parameters towards the student's, and copy the statistics.

        Args:
            momentum: The share of the teacher that is kept, from 0 to 1.
        """
        for average, current in zip(self.teacher.parameters(), self.student.parameters()):
            average.lerp_(current, 1 - momentum)
        for average, current in zip(self.teacher.buffers(), self.student.buffers()):
            average.copy_(current)
        self._unmoved = 0

    @torch.compiler.disable(recursive=False)
    def loss(self, inputs: dict[str, Any], data_samples: dict[str, Any]) -> dict[str, Tensor]:
        """See :meth:`SemiSupervisedDistiller.loss`."""
        if self._unmoved == 1:
            print_log(
                "the teacher was not updated since the last step; add dict(type='MeanTeacherHook') to custom_hooks",
                'current',
                logging.WARNING,
            )
        self._unmoved += 1
        return super().loss(inputs, data_samples)
