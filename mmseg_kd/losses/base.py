"""What all distillation losses share."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ..constants import IGNORE_INDEX
from .ops import sample_labels

Maps = Tensor | tuple[Tensor, ...]


class DistillLoss(nn.Module, ABC):
    """A function of the student's and the teacher's maps of the same images.

    A subclass implements :meth:`compute`. Calling the loss checks the shapes, detaches the teacher's maps, disables
    autocast (half precision is raised to float32), samples the labels to the student's grid, and then computes.

    A loss knows nothing of weights (:class:`mmseg_kd.distillers.Term`), of resized features (:mod:`mmseg_kd.adapters`),
    of hooks or of configs.

    Attributes:
        needs_labels: Whether ``compute`` takes labels (N, h, w) as its third argument; the label 255 marks ignored
            pixels.
        needs_equal_channels: Whether student and teacher must have the same number of channels. The default 1x1 adapter
            makes those of features equal; for logits, a difference is an error.
        least_channels: The smallest number of channels from which a student can learn; more than 1 where channels are
            classes.
        classes: The number of classes in the labels. The distiller sets it before :meth:`setup`. The default is the
            largest number that label maps can hold, which costs nothing but memory.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import DistillLoss
        >>> class MeanLoss(DistillLoss):
        ...     def compute(self, student, teacher):
        ...         return (student.mean() - teacher.mean()).abs()
        >>> MeanLoss()(torch.zeros(1, 2, 3, 3), torch.ones(1, 2, 3, 3)).item()
        1.0
    """

    needs_labels = False
    needs_equal_channels = True
    least_channels = 1
    classes = IGNORE_INDEX

    @abstractmethod
    def compute(self, student: Any, teacher: Any, *labels: Any, **kwargs: Any) -> Tensor:
        """The formula: from maps in float32 (or float64) to a scalar. Losses without labels take two arguments.

        The signature is open for type checkers: each subclass narrows it to the maps that it takes.
        """

    def setup(self, student: Any, teacher: Any) -> None:
        """Create the parts that depend on shapes (an auxiliary module, a generator, a queue).

        The distiller calls it once, with example tensors, after the adapters and before the optimizer are built. The
        tensors may lie on the meta device: only their shapes count. Most losses need nothing.
        """

    def forward(self, student: Maps, teacher: Maps, labels: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Args:
            student: A map (N, C, H, W) of the student, or a tuple of maps if the loss reads several.
            teacher: A map of the teacher, or a tuple of maps; no gradient reaches it.
            labels: Integers (N, H, W) at any resolution, with 255 for ignored pixels; only for losses with
                ``needs_labels``.

        Returns:
            Tensor: A scalar.

        Raises:
            ValueError: if shapes disagree, or labels are missing or not expected.
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

    @torch.no_grad()
    def denominator(self, student: Maps, teacher: Maps, labels: Tensor | None = None) -> Tensor:
        """The number of pixels, images or classes that the loss averages over in these maps.

        The distiller weighs the losses of several processes by it, so that their mean is the loss of the joined batch.

        Args:
            student: As in :meth:`forward`; only the shapes count, and adapters need not have been applied.
            teacher: As in :meth:`forward`.
            labels: As in :meth:`forward`.

        Returns:
            Tensor: A scalar in float32, at least 0.
        """
        if labels is not None:
            labels = self.sample(labels, _first(student).shape[-2:])
        return self.count(student, _map(_raise_precision, teacher), labels).float()

    def count(self, student: Any, teacher: Any, labels: Any = None) -> Tensor:
        """What :meth:`denominator` returns, from sampled labels: by default the pixels that are not ignored if the loss
        takes labels, or else the images.

        A loss overrides it if it divides by something else. A loss that is not a mean (its formula combines all images
        of a process) keeps the default, and says in its documentation that it is defined by process.
        """
        return count_images(student) if labels is None else (labels != IGNORE_INDEX).sum()

    def sample(self, labels: Tensor, size: torch.Size) -> Tensor:
        """Sample labels (N, H, W) for :meth:`compute` to the student's ``size`` (h, w); subclasses may override it."""
        return sample_labels(labels, size)

    def prepare(self, student: Any, teacher: Any) -> tuple[Any, Any]:
        """Raise half precision to float32, detach the teacher's maps, and check the shapes."""
        student, teacher = _map(_raise_precision, student), _map(_raise_precision, _map(Tensor.detach, teacher))
        self.check(student, teacher)
        return student, teacher

    def check(self, student: Any, teacher: Any) -> None:
        """Raise ValueError if the maps cannot be compared. A loss that reads unlike maps overrides this."""
        for s, t in pairs(student, teacher, type(self).__name__):
            check_same_shape(type(self).__name__, s, t, channels=self.needs_equal_channels)
            self.check_channels(s)

    def check_channels(self, student: Tensor) -> None:
        """Raise ValueError if a map has too few channels to learn from."""
        if student.dim() > 1 and student.shape[1] < self.least_channels:
            advice = (
                'read "logits", which has two channels for a network of one'
                if student.shape[1] == 1
                else 'take PixelWiseKDLoss, which learns from two classes'
            )
            raise ValueError(
                f'{type(self).__name__} compares the classes of a pixel and cannot learn from less '
                f'than {self.least_channels} channels, but got {student.shape[1]}; {advice}'
            )


def pairs(student: Maps, teacher: Maps, name: str = 'the loss') -> tuple[tuple[Tensor, Tensor], ...]:
    """Pair the maps of student and teacher, whether one or several. Raise ValueError if their numbers differ."""
    students = (student,) if isinstance(student, Tensor) else student
    teachers = (teacher,) if isinstance(teacher, Tensor) else teacher
    if len(students) != len(teachers):
        raise ValueError(
            f'{name} compares maps in pairs, but got {len(students)} of the student and {len(teachers)} '
            f'of the teacher; give the term equally many paths of both'
        )
    return tuple(zip(students, teachers))


def count_images(maps: Maps) -> Tensor:
    """The number of images as a tensor on the device of the maps."""
    return torch.full((), len(_first(maps)), device=_first(maps).device)


class AdversarialLoss(DistillLoss):
    """A loss with an auxiliary module that has an objective and an optimizer of its own, such as a discriminator.

    :meth:`compute` is the student's loss, with the auxiliary module frozen. :meth:`critic_loss` is the objective of the
    auxiliary module, with student and teacher detached. The two reach disjoint parameters, so that one backward pass of
    their sum serves both updates.

    The auxiliary module need not be an adversary: a part that learns from the teacher alone, such as the auto-encoder
    of :class:`~mmseg_kd.losses.KATranslatorLoss`, is trained in the same way.

    Attributes:
        critic_first: Whether the auxiliary module learns before the term begins, while the weight of the term is 0, and
            is fixed from then on. If false, it learns together with the student.
        critic: The auxiliary module; None before :meth:`setup`. Its parameters get an optimizer of their own
            (:class:`mmseg_kd.engine.DistillOptimWrapperConstructor`), which the config names ``optim_wrapper.critic``.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import HolisticKDLoss
        >>> loss, logits = HolisticKDLoss(), torch.zeros(1, 2, 4, 4)
        >>> loss.critic is None
        True
        >>> loss.setup(logits, logits)
        >>> loss.critic_loss(logits, logits).requires_grad
        True
    """

    critic_first = False

    def __init__(self) -> None:
        super().__init__()
        self.critic: Any = None  # a network from setup on

    @abstractmethod
    def critic_loss(self, student: Any, teacher: Any, *labels: Any, **kwargs: Any) -> Tensor:
        """The objective of the auxiliary module, a scalar; the gradient reaches its parameters only. Arguments as in
        :meth:`forward`.
        """


def check_same_shape(name: str, student: Tensor, teacher: Tensor, channels: bool = True) -> None:
    """Raise ValueError unless two maps have equal shapes (in all but the channels if ``channels`` is false)."""
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
            f'{tuple(teacher.shape)}; give the term an adapter, or other paths'
        )


def _raise_precision(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _map(function, maps: Maps) -> Maps:
    return function(maps) if isinstance(maps, Tensor) else tuple(function(x) for x in maps)


def _first(maps: Maps) -> Tensor:
    return maps if isinstance(maps, Tensor) else maps[0]
