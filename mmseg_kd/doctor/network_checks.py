"""Do student, teacher and data speak of the same classes, the same void, and the same kind of images?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmseg.models.decode_heads import STDCHead
from mmseg.registry import MODELS
from torch import nn
from torch.utils.data import DataLoader

from ..constants import IGNORE_INDEX
from ..distillers.class_logits import count_classes
from ..distillers.dry_run import build_skeleton
from ..distillers.inference import image_channels
from ..distillers.labels import ignored_label
from ..distillers.normalization import Renormalize
from ..distillers.taps import LOGITS
from ..distillers.teacher import Teacher
from ..io.configs import segmentor_config
from .diagnosis import Say


@dataclass
class Network:
    """A segmentor as its config describes it, built without weights.

    Args:
        label: for people, such as ``'teacher deep'``.
        key: of the config.
        config: of the segmentor.
        skeleton: the network, on the meta device where possible.
        teacher: what loads and runs it; None for the student.
    """

    label: str
    key: str
    config: dict
    skeleton: nn.Module
    teacher: Any = None  # a FrozenTeacher, but for the student

    @property
    def heads(self) -> list[tuple[str, nn.Module]]:
        """Key and module of each head: those of a cascade, and then auxiliary ones."""
        found = []
        for name in ('decode_head', 'auxiliary_head'):
            head: Any = getattr(self.skeleton, name, None)
            several = isinstance(head, nn.ModuleList)
            found += [
                (f'{self.key}.{name}' + (f'[{i}]' if several else ''), child)
                for i, child in enumerate(head if several else [head] if head is not None else [])
            ]
        return found

    @property
    def num_classes(self) -> int:
        """Classes that it distinguishes, two of them by one channel; 0 if it does not say."""
        return next((count_classes(head) for _, head in self.heads if count_classes(head)), 0)

    @property
    def void(self) -> int:
        """Label that its head ignores."""
        return ignored_label(self.skeleton)

    @property
    def preprocessor(self) -> dict:
        """Config of its data preprocessor."""
        return self.config.get('data_preprocessor') or {}


def check_student(say: Say, config: Config) -> Network:
    """The student, or the only segmentor of the config, as a skeleton."""
    if config.get('model') is None:
        raise ValueError('there is no model; add one to the config')
    label, key = ('student', 'model.student') if 'student' in config.model else ('network', 'model')
    model = segmentor_config(config)
    student = Network(label, key, model, build_skeleton(model))
    say.ok(_described(student))
    return student


def check_teachers(say: Say, teachers: dict[str, Teacher]) -> list[Network]:
    """The members of all teachers, as skeletons.

    Raises:
        ValueError: if a config is missing.
    """
    networks = []
    for name, teacher in teachers.items():
        for i, member in enumerate(teacher.members):
            place = ('.' + name if name else '') + (f'[{i}]' if len(teacher.members) > 1 else '')
            try:
                skeleton = build_skeleton(member.model_config)
            except FileNotFoundError as error:
                raise ValueError(f'model.teacher{place}.config: {error}') from None
            label = ' '.join(filter(None, ['teacher', place.lstrip('.')]))
            networks.append(Network(label, f'model.teacher{place}', member.model_config, skeleton, member))
            say.ok(('' if label == 'teacher' else f'{label}: ') + _described(networks[-1]))
    return networks


def check_classes(
    say: Say, config: Config, student: Network, teachers: Sequence[Network], loaders: dict[str, DataLoader]
) -> None:
    """Student, heads, teachers and data sets distinguish the same classes.

    Args:
        say: to speak through.
        config: of the run.
        student: whose number of classes the others are compared with.
        teachers: may be none.
        loaders: data loaders by their key.
    """
    for key, head in student.heads:
        # STDC's head tells edges from the rest, whatever the classes are.
        if not isinstance(head, STDCHead) and count_classes(head) not in (0, student.num_classes):
            say.failed(
                f'{key}.num_classes is {count_classes(head)}, but that of the first head is {student.num_classes}; '
                'set both to the number of classes of the data'
            )
    names = {
        key: tuple(getattr(loader.dataset, 'metainfo', {}).get('classes') or ()) for key, loader in loaders.items()
    }
    names = {key: classes for key, classes in names.items() if classes}
    for key, classes in names.items():
        if len(classes) == 1 and student.num_classes == 2:
            say.failed(
                f'{key}.dataset names one class, but the network tells two apart; name the background first, as in '
                f"metainfo=dict(classes=('background', '{classes[0]}'))"
            )
        elif student.num_classes not in (0, len(classes)):
            say.failed(
                f'{key}.dataset has {len(classes)} classes, but {student.key}.decode_head.num_classes is '
                f'{student.num_classes}; set num_classes={len(classes)} in all heads'
            )
    if len(set(names.values())) > 1:
        say.failed(f'{" and ".join(names)} must have the same classes in the same order; see dataset.metainfo.classes')
    for teacher in teachers:
        if teacher.num_classes not in (0, student.num_classes):
            text = (
                f'{teacher.label} has {teacher.num_classes} classes and the student {student.num_classes}; set '
                f'{student.key}.decode_head.num_classes, or {teacher.key} to a teacher of the same data'
            )
            if _compares_logits(config):
                say.failed(text)
            else:
                say.warning(f'{text} (no term compares logits, so it can be trained)')
    if say.clean:
        say.ok(f'{student.num_classes} in {", ".join([student.label, *(t.label for t in teachers), *names])}')


def check_void(say: Say, config: Config, student: Network, teachers: Sequence[Network]) -> None:
    """What counts for nothing is the same for heads, padding, terms and validation."""
    # None is that of a masked binary cross-entropy, which ignores nothing.
    voids = {
        f'{key}.ignore_index': head.ignore_index
        for key, head in student.heads
        if getattr(head, 'ignore_index', None) is not None
    }
    for key, head in student.heads:
        losses: Any = getattr(head, 'loss_decode', None)
        for loss in losses if isinstance(losses, nn.ModuleList) else [losses]:
            if hasattr(loss, 'ignore_label'):  # OHEM looks at its own
                voids[f'{key}.loss_decode.ignore_label'] = loss.ignore_label
    metrics = config.get('val_evaluator') or []
    for metric in metrics if isinstance(metrics, (list, tuple)) else [metrics]:
        if metric.get('type') == 'IoUMetric':
            voids['val_evaluator.ignore_index'] = metric.get('ignore_index', IGNORE_INDEX)
    if len(set(voids.values())) > 1:
        stated = ', '.join(f'{key} is {void}' for key, void in voids.items())
        say.failed(f'void must be the same everywhere, but {stated}')
    padding = student.preprocessor.get('seg_pad_val', IGNORE_INDEX)
    if padding != student.void:
        text = f'{student.key}.data_preprocessor.seg_pad_val is {padding}; set it to {student.void}, which is void: '
        if 0 <= padding < student.num_classes:
            say.warning(f'{text}padding would be learned as class {padding}')
        else:
            say.failed(f'{text}padding would be of no class')
    for teacher in teachers:
        if teacher.void != student.void and min(teacher.void, student.void) < student.num_classes:
            say.warning(
                f'{teacher.label} was made for void = {teacher.void}, the student for {student.void}; see that '
                f'both number the classes alike, or change {teacher.key}'
            )
    if say.clean:
        say.ok(f'{student.void} in heads, padding{", terms" if teachers else ""} and validation')


def check_normalization(say: Say, student: Network, teachers: Sequence[Network]) -> None:
    """Images are normalized, and for the teachers as for the student; where not, the distiller converts them."""
    if not student.preprocessor.get('mean'):
        say.warning(f'{student.key}.data_preprocessor has no mean and std, so the images keep their values of 0..255')
    for teacher in teachers:
        if not teacher.preprocessor and getattr(teacher.skeleton, 'comes_with_weights', False):
            continue  # and with a preprocessor of its own
        probe = torch.zeros(1, image_channels(student.skeleton), 1, 1)
        if Renormalize(_preprocessor(student), _preprocessor(teacher))(probe) is not probe:
            say.warning(
                f'{teacher.label} has {_statistics(teacher)}, the student {_statistics(student)}; images are '
                'converted for it in every step, which is right if it was trained so; if not, mend '
                f'data_preprocessor in the model of {teacher.key}'
            )
    if say.clean:
        say.ok(_statistics(student) + (' for student and teacher' if teachers else ''))


def _described(network: Network) -> str:
    parts = [
        type(getattr(network.skeleton, name)).__name__
        for name in ('backbone', 'neck', 'decode_head')
        if getattr(network.skeleton, name, None) is not None
    ]
    parameters = sum(p.numel() for p in network.skeleton.parameters())
    return (
        f'{type(network.skeleton).__name__} of {" + ".join(parts)}, {parameters / 1e6:.2f} M parameters, '
        f'{network.num_classes} classes'
    )


def _compares_logits(config: Config) -> bool:
    groups = (config.model.get(group) or {} for group in ('terms', 'unlabeled_terms'))
    for term in (term for group in groups for term in group.values()):
        student, teacher = ([paths] if isinstance(paths, str) else paths for paths in (term.student, term.teacher))
        if any(s == LOGITS == t.rpartition('.')[2] for s, t in zip(student, teacher)):
            return True
    return False


def _preprocessor(network: Network) -> nn.Module:
    return MODELS.build(dict(network.preprocessor or dict(type='SegDataPreProcessor')))


def _statistics(network: Network) -> str:
    given = network.preprocessor
    if not given.get('mean'):
        return 'no mean and std'
    swapped = 'RGB' if given.get('bgr_to_rgb') else 'BGR' if given.get('rgb_to_bgr') else 'channels as loaded'
    mean, std = (', '.join(f'{value:g}' for value in given[key]) for key in ('mean', 'std'))
    return f'mean {mean}, std {std}, {swapped}'
