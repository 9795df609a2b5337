"""The segmentor whose teacher is the average of what the student was."""

import copy
import logging
from typing import Any

import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor

from .semi_supervised_distiller import SemiSupervisedDistiller
from .teacher import LiveTeacher


@MODELS.register_module()
class MeanTeacher(SemiSupervisedDistiller):
    r"""A :class:`SemiSupervisedDistiller` whose one, unnamed teacher is a moving average of the student.

    .. math:: \theta_t \leftarrow m \theta_t + (1 - m) \theta_s

    after every iteration, by :class:`~mmseg_kd.engine.MeanTeacherHook`, which also says m. The teacher begins as a copy
    of the student, is in eval mode, is saved and resumed with the model, and gets no gradient. What is tested and
    exported is the student.

    Args:
        student: as of :class:`SemiSupervisedDistiller`.
        terms: as there.
        unlabeled_terms: as there.
        mix: as there.
        data_preprocessor: as there.
        init_cfg: as there.

    Raises:
        ValueError: as there.

    Paper: Tarvainen and Valpola, "Mean teachers are better role models" (NIPS 2017, arXiv 1703.01780), with
    :class:`~mmseg_kd.losses.ProbabilityMSELoss` on labeled and unlabeled images. Deviations from the code of the
    comparison in Chen et al. (CVPR 2021, arXiv 2106.01226): the teacher has the student's BatchNorm statistics and is
    in eval mode, there it is in train mode and keeps its own; and it follows after the step of the optimizer, there
    before.
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
        self.teachers = {'': LiveTeacher(self.teacher)}
        self._unmoved = 0
        self.train(self.training)

    def train(self, mode: bool = True) -> 'MeanTeacher':
        """Set the mode of all but the teacher."""
        super().train(mode)
        self.teacher.eval()
        return self

    def init_weights(self) -> None:
        """Initialize the student, and begin with a teacher that equals it."""
        super().init_weights()
        self.update_teacher(momentum=0.0)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Move the teacher's parameters towards the student's, and copy the statistics.

        Args:
            momentum: share of the teacher that stays, from 0 to 1.
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
                "nothing moved the teacher since the last step; add dict(type='MeanTeacherHook') to custom_hooks",
                'current',
                logging.WARNING,
            )
        self._unmoved += 1
        return super().loss(inputs, data_samples)
