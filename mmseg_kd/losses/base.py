"""What all distillation losses share."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ..constants import IGNORE_INDEX
from .ops import sample_labels

Maps = Tensor | tuple[Tensor, ...]


class DistillLoss(nn.Module, ABC):
    """A function of what the student and the teacher computed for the same images.

    A subclass writes :meth:`compute`; calling the loss checks the shapes, cuts the teacher's gradient, leaves autocast
    (half precision is raised to float32), samples the labels to the student's grid, and then computes.

    A loss knows nothing of weights (:class:`mmseg_kd.distillers.Term`), of feature resizing
    (:mod:`mmseg_kd.adapters`), of hooks or of configs.

    Attributes:
        needs_labels: ``compute`` takes the labels (N, h, w) third; 255 is void and counts for nothing.
        needs_equal_channels: student and teacher must have the same number of channels. The default 1x1 adapter sees to
            it for features; for logits a difference is an error.
        least_channels: the fewest that there is something to learn from; more than 1 where channels are classes.
        classes: how many the labels distinguish. The distiller sets it before :meth:`setup`; without one, it is the
            most that label maps can hold, which only costs memory.
    """

    needs_labels = False
    needs_equal_channels = True
    least_channels = 1
    classes = IGNORE_INDEX

    @abstractmethod
    def compute(self, student: Maps, teacher: Maps, labels: Tensor | None = None) -> Tensor:
        """The formula: float32 (or float64) maps in, a scalar out. Losses without labels take two arguments."""

    def setup(self, student: Maps, teacher: Maps) -> None:
        """Create what can be created only when the shapes are known (a critic, a generator, a queue).

        Called once with example tensors, after adapters and before the optimizer is built. They may lie on the meta
        device: only their shapes count. Most losses need nothing.
        """

    def forward(self, student: Maps, teacher: Maps, labels: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Args:
            student: a map (N, C, H, W), or a tuple of maps if the loss reads several.
            teacher: the same of the teacher; no gradient reaches it.
            labels: (N, H, W) integers at any resolution, 255 = void; only for losses with ``needs_labels``.

        Returns:
            Tensor: a scalar.

        Raises:
            ValueError: if shapes disagree, or labels are missing, or not wanted.
        """
        student, teacher = self.prepare(student, teacher)
        if self.needs_labels != (labels is not None):
            raise ValueError(
                f'{type(self).__name__} {"needs" if self.needs_labels else "takes no"} labels, '
                f'but labels came as {type(labels).__name__}'
            )
        reference = _first(student)
        with torch.autocast(reference.device.type, enabled=False):
            if labels is None:
                return self.compute(student, teacher)
            if labels.dim() != 3 or len(labels) != len(reference):
                raise ValueError(
                    f'{type(self).__name__} needs labels of shape (N, H, W) with N = {len(reference)}, '
                    f'but got {tuple(labels.shape)}'
                )
            return self.compute(student, teacher, self.sample(labels, reference.shape[-2:]))

    def sample(self, labels: Tensor, size: torch.Size) -> Tensor:
        """Labels (N, H, W) for :meth:`compute`: at the student's ``size`` (h, w), unless a loss overrides this."""
        return sample_labels(labels, size)

    def prepare(self, student: Maps, teacher: Maps) -> tuple[Maps, Maps]:
        """Raise half precision to float32, cut the teacher's gradient, and check the shapes."""
        student, teacher = _map(_raise_precision, student), _map(_raise_precision, _map(Tensor.detach, teacher))
        self.check(student, teacher)
        return student, teacher

    def check(self, student: Maps, teacher: Maps) -> None:
        """Raise ValueError where the maps cannot be compared. A loss that reads unlike maps overrides this."""
        for s, t in pairs(student, teacher, type(self).__name__):
            check_same_shape(type(self).__name__, s, t, channels=self.needs_equal_channels)
            self.check_channels(s)

    def check_channels(self, student: Tensor) -> None:
        """Raise ValueError where a map has too few channels to learn from."""
        if student.dim() > 1 and student.shape[1] < self.least_channels:
            advice = (
                'read "logits", which has two channels for a network of one'
                if student.shape[1] == 1
                else 'take PixelWiseKDLoss, which learns from two classes'
            )
            raise ValueError(
                f'{type(self).__name__} compares the classes of a pixel and has nothing to learn from less '
                f'than {self.least_channels} channels, but got {student.shape[1]}; {advice}'
            )


def pairs(student: Maps, teacher: Maps, name: str = 'the loss') -> tuple[tuple[Tensor, Tensor], ...]:
    """The maps of student and teacher two by two, whether one or several. Raise ValueError if the numbers differ."""
    students = (student,) if isinstance(student, Tensor) else student
    teachers = (teacher,) if isinstance(teacher, Tensor) else teacher
    if len(students) != len(teachers):
        raise ValueError(
            f'{name} compares maps in pairs, but got {len(students)} of the student and {len(teachers)} '
            f'of the teacher; give the term as many paths for the one as for the other'
        )
    return tuple(zip(students, teachers))


class AdversarialLoss(DistillLoss):
    """A loss that a critic judges, and which trains that critic.

    :meth:`compute` is the student's loss, with the critic frozen; :meth:`critic_loss` is the critic's, with student and
    teacher detached. The two reach disjoint parameters, so that one backward pass of their sum serves both updates.

    The critic need not be an adversary: a part that learns from the teacher alone, as the auto-encoder of
    :class:`~mmseg_kd.losses.KATranslatorLoss`, is trained in the same way.

    Attributes:
        critic_first: the critic learns before the term begins, while its weight is still 0, and rests from then on;
            false for one that learns beside the student.
        critic: the network that judges; its parameters get an optimizer of their own
            (:class:`mmseg_kd.engine.DistillOptimWrapperConstructor`). None until :meth:`setup`.
    """

    critic_first = False

    def __init__(self) -> None:
        super().__init__()
        self.critic: nn.Module | None = None

    @abstractmethod
    def critic_loss(self, student: Maps, teacher: Maps, labels: Tensor | None = None) -> Tensor:
        """What the critic minimizes, a scalar; reaches its parameters only. Takes what :meth:`forward` takes."""


def check_same_shape(name: str, student: Tensor, teacher: Tensor, channels: bool = True) -> None:
    """Raise ValueError unless two maps have equal shape (in all but the channels if ``channels`` is false)."""
    same = (
        student.dim() == teacher.dim()
        and len(student) == len(teacher)
        and student.shape[2:] == teacher.shape[2:]
        and (not channels or student.shape == teacher.shape)
    )
    if not same:
        what = 'shapes' if channels else 'batch and spatial sizes'
        raise ValueError(
            f'{name} needs equal {what}, but student is {tuple(student.shape)} and teacher is '
            f'{tuple(teacher.shape)}; give the term an adapter or other paths'
        )


def _raise_precision(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _map(function, maps: Maps) -> Maps:
    return function(maps) if isinstance(maps, Tensor) else tuple(function(x) for x in maps)


def _first(maps: Maps) -> Tensor:
    return maps if isinstance(maps, Tensor) else maps[0]
