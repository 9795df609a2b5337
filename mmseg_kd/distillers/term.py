"""One distillation term: the paths of student and teacher, the loss between them, and its weight."""

from collections.abc import Iterable
from typing import Any

import torch
from mmseg.registry import MODELS, TASK_UTILS
from torch import Tensor, nn

from ..adapters import align
from ..constants import IGNORE_INDEX
from ..io.arguments import build
from ..losses import AdversarialLoss, DistillLoss
from ..losses.ops import differentiable_zero, tensor_sum
from .gradient_share import GradientShare
from .taps import LOGITS, PathError

Paths = str | list[str]


class Term(nn.Module):
    """``weight * loss(adapter(student), teacher)``, under its own name in the log.

    Args:
        name: The key in the log; it contains ``loss``, since MMEngine sums the entries whose name does.
        student: A path in the student, or a list of paths, which gives the loss a tuple. See
            :class:`~mmseg_kd.distillers.Taps` for the kinds of paths.
        teacher: A path in the teacher, or a list of paths; with several teachers, it starts with the teacher's name
            (``deep.logits``).
        loss: The config of a :class:`~mmseg_kd.losses.DistillLoss`.
        weight: A number, the config of a schedule (:mod:`mmseg_kd.distillers.schedules`), which ``TermWeightHook``
            updates, or the config of a :class:`GradientShare`.
        adapter: The config of a module that is built with ``in_channels`` and ``out_channels`` and maps the student's
            features to the teacher's channels. By default it is a 1x1 convolution where the loss needs equal channels
            and they differ, and nothing otherwise.
        group: The key of the terms in the config, for messages.

    Attributes:
        key: The full key, ``<group>.<name>``.
        weight: The weight in this iteration; None before the first one of a schedule.
        share: The share of the gradient in this iteration, with a :class:`GradientShare`. The distiller sets the weight
            for it, and multiplies the loss by it.

    Raises:
        ConfigError: if an argument of the loss or the schedule is unknown, missing or of a wrong type.
        ValueError: if the name lacks ``loss`` or is nothing else, or if the weight is negative.

    Example:
        >>> import torch
        >>> from mmseg_kd.distillers import Term
        >>> path = 'backbone[3]'
        >>> term = Term('loss_hint', student=path, teacher=path, loss=dict(type='HintLoss'), weight=0.5)
        >>> student, teacher = torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4)
        >>> term.fit({path: student}, {path: teacher}, classes=4)  # a Distiller does this
        >>> term({path: student}, {path: teacher}, labels=None)['loss_hint'].item()
        0.5
    """

    _label_of: Tensor | None

    def __init__(
        self,
        name: str,
        student: Paths,
        teacher: Paths,
        loss: dict,
        weight: float | dict = 1.0,
        adapter: dict | None = None,
        group: str = 'model.terms',
    ) -> None:
        super().__init__()
        self.key = f'{group}.{name}'
        if name == 'loss':
            raise ValueError(
                f'{self.key}: the name of a term must not be "loss", under which MMEngine logs the sum of all; call it '
                'loss_kd'
            )
        if 'loss' not in name:
            raise ValueError(
                f'{self.key}: the name of a term must contain "loss", or MMEngine would not sum it; call it loss_{name}'
            )
        if '.' in name:
            raise ValueError(f'{self.key}: the name of a term must not contain a dot')
        self.name, self.student, self.teacher = name, student, teacher
        # A loss between maps of the student reads nothing in a teacher.
        for side, paths, least in (('student', self.student_paths, 1), ('teacher', self.teacher_paths, 0)):
            if '' in paths or len(paths) < least:
                raise PathError(f"{self.key}.{side} must name a module, but is {getattr(self, side)!r}; take 'logits'")
        self.loss = build(MODELS, loss, f'{self.key}.loss', DistillLoss, 'a loss between student and teacher')
        schedule: Any = build(TASK_UTILS, weight, f'{self.key}.weight') if isinstance(weight, dict) else None
        self.schedule, self.by_share = schedule, isinstance(schedule, GradientShare)
        constant = schedule.constant if self.by_share else schedule is None
        if getattr(self.loss, 'critic_first', False) and constant:
            raise ValueError(
                f'{self.key}.weight must be a schedule that begins when the auxiliary module of '
                f'{type(self.loss).__name__} has learned, but is {weight!r}; take '
                f"dict(type='DelayedWeight', weight={weight!r}, begin=...)"
            )
        number = weight.get('weight', 0.0) if isinstance(weight, dict) else weight
        if number < 0:
            raise ValueError(
                f'{self.key}.weight{".weight" * isinstance(weight, dict)} must be >= 0, but is {number}, which would '
                'drive the student away from the teacher; remove the sign'
            )
        # With a schedule, both are numbers from the first iteration on.
        self.weight: Any = None if isinstance(weight, dict) else float(weight)
        self.share: Any = None
        self._adapter_config = adapter
        # The label among the classes that the teacher knows, for each label. Such tables are buffers, which move to the
        # device with the model and not in every step.
        self.register_buffer('_label_of', None, persistent=False)
        self.student_shapes: list[torch.Size] = []
        self.teacher_shapes: list[torch.Size] = []
        self.adapters = nn.ModuleList()

    @property
    def student_paths(self) -> list[str]:
        return [self.student] if isinstance(self.student, str) else list(self.student)

    @property
    def teacher_paths(self) -> list[str]:
        return [self.teacher] if isinstance(self.teacher, str) else list(self.teacher)

    @property
    def critic(self) -> nn.Module | None:
        """The auxiliary module, which another optimizer trains, if the loss is adversarial."""
        return self.loss.critic if isinstance(self.loss, AdversarialLoss) else None

    @property
    def active(self) -> bool:
        """Whether the term counts in this iteration."""
        if self.level is None:
            raise ValueError(
                f'{self.key}.weight is a schedule, but nothing updates it; add '
                "dict(type='TermWeightHook') to custom_hooks"
            )
        return self.level != 0

    @property
    def level(self) -> Any:
        """What a schedule sets: the share of the gradient with a :class:`GradientShare`, otherwise the weight."""
        return self.share if self.by_share else self.weight

    @level.setter
    def level(self, level: float) -> None:
        if self.by_share:
            self.share = level
        else:
            self.weight = level

    @property
    def critic_learns(self) -> bool:
        """Whether the term has an auxiliary module that learns in this iteration."""
        return self.critic is not None and self.active != self.loss.critic_first

    @property
    def reads_teacher(self) -> bool:
        """Whether the term needs the teacher's values in this iteration."""
        return self.active or self.critic_learns

    def fit(
        self, student: dict[str, Any], teacher: dict[str, Any], classes: int, known: dict[str, list[int]] | None = None
    ) -> None:
        """Build the adapters, and the parts of the loss that depend on shapes, from example values.

        Args:
            student: Example values of the student, by path.
            teacher: Example values of the teachers, by path.
            classes: The number of classes in the labels.
            known: The indices of the classes that the teachers know, by their path of logits, where they do not know
                all. The term compares logits of these classes only.

        Raises:
            ValueError: if the classes differ, or the shapes cannot be made equal.
        """
        pairs = list(zip(self.student_paths, self.teacher_paths))
        for own, theirs in pairs:
            self._check_classes(own, theirs, student, teacher)
        for place, (own, theirs) in enumerate(pairs):
            chosen = (known or {}).get(theirs) if own == LOGITS else None
            table = None if chosen is None else torch.tensor(chosen)
            self.register_buffer(f'_known_{place}', table, persistent=False)
        students = self._students(student)
        teachers = self._chosen([self._tensor(teacher, path, 'teacher') for path in self.teacher_paths])
        self.student_shapes, self.teacher_shapes = [s.shape for s in students], [t.shape for t in teachers]
        for i, (s, t) in enumerate(zip(students, teachers)):
            adapter = self._build_adapter(s, t)
            self.adapters.append(adapter)
            if not isinstance(adapter, nn.Identity):
                students[i] = s.new_empty(len(s), t.shape[1], *s.shape[2:])
            teachers[i] = align(t, s)
        self.adapters.extend(nn.Identity() for _ in students[len(teachers) :])
        examples = self._as_given(students, self.student), self._as_given(teachers, self.teacher)
        self._label_of = self._known_labels(len(pairs))
        self.loss.classes = classes if self._label_of is None else int((self._label_of != IGNORE_INDEX).sum())
        try:
            self.loss.setup(*examples)
            self.loss.check(*examples)
        except ValueError as error:
            raise ValueError(
                f'{self.key}: no common shape of student {self.student!r} and teacher {self.teacher!r}: {error}'
            ) from None

    def forward(self, student: dict[str, Any], teacher: dict[str, Any], labels: Tensor | None) -> dict[str, Tensor]:
        """The weighted loss, by name; with an adversarial loss, also the objective of its auxiliary module.

        With a :class:`GradientShare`, the loss is not weighted: the weight depends on all losses of the step.
        """
        students = self._students(student)
        losses = {self.name: tensor_sum(map(differentiable_zero, students))}
        if not (self.active and (self.critic is None or self.critic_learns)):
            # DDP needs a (zero) gradient for inactive parameters too.
            losses[self.name] = sum(map(differentiable_zero, self.parameters()), losses[self.name])
        if not self.reads_teacher:
            return losses
        teachers = self._teachers(teacher, students)
        students = [adapter(s) for adapter, s in zip(self.adapters, students)]
        maps: list[Any] = [self._as_given(students, self.student), self._as_given(teachers, self.teacher)]
        maps += [self._known_of(labels)] if self.loss.needs_labels else []
        if self.active:
            weight = 1.0 if self.by_share else self.weight
            losses[self.name] = losses[self.name] + weight * self.loss(*maps)
        if self.critic_learns:
            losses[f'{self.name}_critic'] = self.loss.critic_loss(*maps)
        return losses

    @torch.no_grad()
    def denominator(self, student: dict[str, Any], teacher: dict[str, Any], labels: Tensor | None) -> Tensor:
        """What the loss divides by in this batch (:meth:`~mmseg_kd.losses.DistillLoss.denominator`); arguments as in
        :meth:`forward`.
        """
        students = self._students(student)
        if not self.reads_teacher:
            return torch.zeros((), device=students[0].device)
        maps = self._as_given(students, self.student), self._as_given(self._teachers(teacher, students), self.teacher)
        return self.loss.denominator(*maps, self._known_of(labels) if self.loss.needs_labels else None)

    def _students(self, values: dict[str, Any]) -> list[Tensor]:
        return self._chosen([self._tensor(values, path, 'student') for path in self.student_paths])

    def _chosen(self, maps: list[Tensor]) -> list[Tensor]:
        """The maps with the channels of the classes that the teacher knows."""
        known = (getattr(self, f'_known_{place}', None) for place in range(len(maps)))
        return [x if classes is None else x[:, classes] for x, classes in zip(maps, known)]

    def _known_labels(self, places: int) -> Tensor | None:
        """The label among the known classes for each label of the data; None if the teacher knows all classes."""
        tables = (getattr(self, f'_known_{place}') for place in range(places))
        known = next((table for table in tables if table is not None), None)
        if known is None:
            return None
        label_of = torch.full((IGNORE_INDEX + 1,), IGNORE_INDEX)
        label_of[known] = torch.arange(len(known))
        return label_of

    def _known_of(self, labels: Tensor | None) -> Tensor | None:
        return labels if labels is None or self._label_of is None else self._label_of[labels.long()]

    def _teachers(self, values: dict[str, Any], students: list[Tensor]) -> list[Tensor]:
        """The teacher's maps at the sizes of the student's."""
        teachers = [self._tensor(values, path, 'teacher') for path in self.teacher_paths]
        resized = [_aligned(values, path, t, s) for path, t, s in zip(self.teacher_paths, teachers, students)]
        return self._chosen(resized + teachers[len(students) :])

    def _check_classes(self, own: str, theirs: str, students: dict[str, Any], teachers: dict[str, Any]) -> None:
        if own != LOGITS or theirs.rpartition('.')[2] != LOGITS:
            return
        student, teacher = students[own], teachers[theirs]
        if student.shape[1] != teacher.shape[1]:
            raise ValueError(
                f'{self.key}: student and teacher must have the same classes to compare logits, '
                f'but the student has {student.shape[1]} and the teacher {teacher.shape[1]}; set num_classes '
                'of the student, take a teacher of the same data set, or give the teacher a class_map'
            )

    def _build_adapter(self, student: Tensor, teacher: Tensor) -> nn.Module:
        if student.dim() != 4 or teacher.dim() != 4:
            return nn.Identity()
        channels = dict(in_channels=student.shape[1], out_channels=teacher.shape[1])
        if self._adapter_config is not None:
            return build(MODELS, self._adapter_config, f'{self.key}.adapter', nn.Module, 'a module', **channels)
        if self.loss.needs_equal_channels and student.shape[1] != teacher.shape[1]:
            return MODELS.build(dict(type='ConvAdapter', **channels))
        return nn.Identity()

    def _tensor(self, values: dict[str, Any], path: str, side: str) -> Tensor:
        value = values[path]
        if not isinstance(value, Tensor):
            index = next(iter(value), 0) if isinstance(value, dict) else 0
            raise PathError(
                f'{self.key}.{side}: "{path}" must be a tensor, but is a {type(value).__name__}; '
                f'choose one item of it, such as "{path}[{index}]", or a module inside of it'
            )
        return value

    @staticmethod
    def _as_given(maps: list[Tensor], paths: Paths) -> Tensor | tuple:
        return maps[0] if isinstance(paths, str) else tuple(maps)

    def extra_repr(self) -> str:
        return f'student={self.student!r}, teacher={self.teacher!r}, weight={self.schedule or self.weight}'


def _aligned(values: dict[Any, Any], path: str, teacher: Tensor, student: Tensor) -> Tensor:
    """The teacher's map at the size of the student's, resized once for all terms of a step that read it so."""
    if teacher.dim() != 4 or student.dim() != 4 or teacher.shape[2:] == student.shape[2:]:
        return teacher
    key = (path, student.shape[2:])
    if key not in values or values[key][0] is not teacher:
        values[key] = teacher, align(teacher, student)
    return values[key][1]


def student_paths(terms: Iterable[Term]) -> list[str]:
    """The paths that the terms read in the student, without repetition."""
    return list(dict.fromkeys(path for term in terms for path in term.student_paths))


def teacher_paths(terms: Iterable[Term]) -> list[str]:
    """The paths that the terms read in the teachers, without repetition."""
    return list(dict.fromkeys(path for term in terms for path in term.teacher_paths))


def wanted_paths(terms: Iterable[Term]) -> list[str]:
    """The paths that the terms read in the teachers in this iteration, without repetition."""
    return teacher_paths(term for term in terms if term.reads_teacher)
