"""Checks that student, teacher and data agree on classes, ignored pixels and normalization."""

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
from ..engine.checks import check_class_maps
from ..io.configs import segmentor_config
from ..io.tables import markdown_table
from ..models.class_map import ClassMap, MappedHead
from .diagnosis import Reporter


@dataclass
class Network:
    """A segmentor, built from its config without weights.

    Args:
        label: name in messages, such as ``'teacher deep'``.
        key: config key.
        config: config of the segmentor.
        skeleton: network without weights, on the meta device if possible.
        teacher: frozen teacher that loads and runs the network; None for the student.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.testing.toys import toy_batch, toy_segmentor
        >>> from mmseg_kd.distillers.dry_run import build_skeleton
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> network = Network('student', 'model', {}, build_skeleton(toy_segmentor()))
        >>> [key for key, _ in network.heads]
        ['model.decode_head', 'model.auxiliary_head']
    """

    label: str
    key: str
    config: dict
    skeleton: nn.Module
    teacher: Any = None  # a FrozenTeacher, but for the student

    @property
    def heads(self) -> list[tuple[str, nn.Module]]:
        """Key and module of each head: all heads of a cascade, and then the auxiliary heads."""
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
    def class_map(self) -> ClassMap | None:
        """The map from the classes of a teacher to those of the student; None if they are the same."""
        return next((head.class_map for _, head in self.heads if isinstance(head, MappedHead)), None)

    @property
    def known(self) -> list[int] | None:
        """The indices of the classes that a teacher with a ``class_map`` knows; None if it knows all."""
        known = None if self.class_map is None else self.class_map.known
        return known if known is not None and len(known) < self.num_classes else None

    @property
    def num_classes(self) -> int:
        """The number of classes, which is two for a single channel; 0 if it is unknown."""
        if self.class_map is not None:
            return len(self.class_map.names)
        return next((count_classes(head) for _, head in self.heads if count_classes(head)), 0)

    @property
    def ignore_index(self) -> int:
        """The label of ignored pixels."""
        return ignored_label(self.skeleton)

    @property
    def preprocessor(self) -> dict:
        """The config of the data preprocessor."""
        return self.config.get('data_preprocessor') or {}


def check_student(report: Reporter, config: Config) -> Network:
    """Build the student, or the only segmentor of the config, without weights."""
    if config.get('model') is None:
        raise ValueError('there is no model; add one to the config')
    label, key = ('student', 'model.student') if 'student' in config.model else ('network', 'model')
    model = segmentor_config(config)
    student = Network(label, key, model, build_skeleton(model))
    report.ok(_described(student))
    return student


def check_teachers(report: Reporter, teachers: dict[str, Teacher]) -> list[Network]:
    """Build the members of all teachers without weights.

    Raises:
        ValueError: if a config is missing.
    """
    networks = []
    for name, teacher in teachers.items():
        for i, member in enumerate(teacher.members):
            place = ('.' + name if name else '') + (f'[{i}]' if len(teacher.members) > 1 else '')
            try:
                skeleton = member.skeleton()
            except FileNotFoundError as error:
                named = 'model' if getattr(member, 'config', None) is None else 'config'
                raise ValueError(f'model.teacher{place}.{named}: {error}') from None
            label = ' '.join(filter(None, ['teacher', place.lstrip('.')]))
            networks.append(Network(label, f'model.teacher{place}', member.model_config, skeleton, member))
            report.ok(('' if label == 'teacher' else f'{label}: ') + _described(networks[-1]))
    return networks


def check_classes(
    report: Reporter, config: Config, student: Network, teachers: Sequence[Network], loaders: dict[str, DataLoader]
) -> None:
    """Check that student, heads, teachers and data sets have the same classes.

    Args:
        report: receiver of findings.
        config: training config.
        student: network with the reference number of classes.
        teachers: members of all teachers; may be empty.
        loaders: data loaders by config key.
    """
    for key, head in student.heads:
        # STDC's head predicts edges, for any number of classes.
        if not isinstance(head, STDCHead) and count_classes(head) not in (0, student.num_classes):
            report.failed(
                f'{key}.num_classes is {count_classes(head)}, but that of the first head is {student.num_classes}; '
                'set both to the number of classes of the data'
            )
    names = {
        key: tuple(getattr(loader.dataset, 'metainfo', {}).get('classes') or ()) for key, loader in loaders.items()
    }
    names = {key: classes for key, classes in names.items() if classes}
    for key, classes in names.items():
        if len(classes) == 1 and student.num_classes == 2:
            report.failed(
                f'{key}.dataset names one class, but the network has two; name the background first, as in '
                f"metainfo=dict(classes=('background', '{classes[0]}'))"
            )
        elif student.num_classes not in (0, len(classes)):
            report.failed(
                f'{key}.dataset has {len(classes)} classes, but {student.key}.decode_head.num_classes is '
                f'{student.num_classes}; set num_classes={len(classes)} in all heads'
            )
    if len(set(names.values())) > 1:
        report.failed(
            f'{" and ".join(names)} must have the same classes in the same order; see dataset.metainfo.classes'
        )
    classes = next(iter(names.values()), ())
    mapped = check_class_maps(
        {teacher.key.removeprefix('model.teacher').lstrip('.'): teacher.teacher for teacher in teachers}, classes
    ).refusals
    for text in mapped:
        report.failed(text)
    for teacher in teachers if not mapped else ():
        if teacher.num_classes not in (0, student.num_classes):
            text = (
                f'{teacher.label} has {teacher.num_classes} classes and the student {student.num_classes}; set '
                f'{student.key}.decode_head.num_classes, or {teacher.key} to a teacher of the same data'
            )
            if _compares_logits(config):
                report.failed(text)
            else:
                report.warning(f'{text} (training is possible, because no term compares logits)')
    if report.clean:
        report.ok(f'{student.num_classes} in {", ".join([student.label, *(t.label for t in teachers), *names])}')


def class_table(networks: Sequence[Network]) -> str:
    """A table of the student's classes and what they are for each teacher with a ``class_map``; empty if none has one.

    Args:
        networks: members of all teachers.
    """
    mapped = [(network.label, network.class_map) for network in networks if network.class_map is not None]
    if not mapped:
        return ''
    columns = []
    for label, class_map in mapped:
        cells = [' + '.join(class_map.classes[i] for i in sources) for sources in class_map.sources]
        unused = class_map.unused
        columns.append([label, *(cell or 'unknown: labels only' for cell in cells), f'{len(unused)} others: left out'])
    return markdown_table([*zip(['class', *mapped[0][1].names, '-'], *columns)])


def check_ignore_index(report: Reporter, config: Config, student: Network, teachers: Sequence[Network]) -> None:
    """Check that heads, padding, terms and validation ignore the same label."""
    # None is the value of a masked binary cross-entropy, which ignores no label.
    ignored = {
        f'{key}.ignore_index': head.ignore_index
        for key, head in student.heads
        if getattr(head, 'ignore_index', None) is not None
    }
    for key, head in student.heads:
        losses: Any = getattr(head, 'loss_decode', None)
        for loss in losses if isinstance(losses, nn.ModuleList) else [losses]:
            if hasattr(loss, 'ignore_label'):  # OHEM has its own setting
                ignored[f'{key}.loss_decode.ignore_label'] = loss.ignore_label
    metrics = config.get('val_evaluator') or []
    for metric in metrics if isinstance(metrics, (list, tuple)) else [metrics]:
        if metric.get('type') == 'IoUMetric':
            ignored['val_evaluator.ignore_index'] = metric.get('ignore_index', IGNORE_INDEX)
    if len(set(ignored.values())) > 1:
        stated = ', '.join(f'{key} is {label}' for key, label in ignored.items())
        report.failed(f'ignored labels must be the same everywhere, but {stated}')
    padding = student.preprocessor.get('seg_pad_val', IGNORE_INDEX)
    if padding != student.ignore_index:
        key = f'{student.key}.data_preprocessor.seg_pad_val'
        text = f'{key} is {padding}; set it to {student.ignore_index}, which is ignored: '
        if 0 <= padding < student.num_classes:
            report.warning(f'{text}padding would be learned as class {padding}')
        else:
            report.failed(f'{text}padding would have no valid class')
    for teacher in teachers:
        if (
            teacher.ignore_index != student.ignore_index
            and min(teacher.ignore_index, student.ignore_index) < student.num_classes
        ):
            report.warning(
                f'{teacher.label} was trained with ignore_index={teacher.ignore_index}, the student has '
                f'{student.ignore_index}; check that both number the classes alike, or change {teacher.key}'
            )
    if report.clean:
        report.ok(f'{student.ignore_index} in heads, padding{", terms" if teachers else ""} and validation')


def check_normalization(report: Reporter, student: Network, teachers: Sequence[Network]) -> None:
    """Check that images are normalized, and that teachers and student have the same normalization."""
    if not student.preprocessor.get('mean'):
        report.warning(f'{student.key}.data_preprocessor has no mean and std, so images keep values from 0 to 255')
    for teacher in teachers:
        if not teacher.preprocessor and getattr(teacher.skeleton, 'comes_with_weights', False):
            continue  # it has its own preprocessor
        probe = torch.zeros(1, image_channels(student.skeleton), 1, 1)
        if Renormalize(_preprocessor(student), _preprocessor(teacher))(probe) is not probe:
            report.warning(
                f'{teacher.label} has {_statistics(teacher)}, the student {_statistics(student)}; images are '
                'converted for it in every step, which is right if it was trained with these values; otherwise correct '
                f'data_preprocessor in the model of {teacher.key}'
            )
    if report.clean:
        report.ok(_statistics(student) + (' for student and teacher' if teachers else ''))


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
