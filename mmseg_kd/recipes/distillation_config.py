"""The config of a distillation, from a student's config and the name of a teacher."""

import os
import pprint
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from ..constants import UNKNOWN_INDEX
from ..distillers.labels import ignored_label
from ..io.command_line import TERMS, terms_file
from ..io.configs import config_file, merge_options, model_config, read_config
from ..io.data_sets import data_set_facts
from ..io.errors import ConfigError
from ..models.class_map import listed
from .unlabeled_images import BY_TEACHER, average_over_labeled_pixels, no_labels, with_unlabeled


class TeacherChoice(NamedTuple):
    """A teacher, as the command line names it.

    Args:
        name: A config (a path that ends in ``.py``, or ``mmseg::...``), or a network of Hugging Face (a folder, or a
            name on the hub).
        checkpoint: Path or address of the weights of a config; None for those that the library publishes, or that the
            segmentor comes with.
        class_map: The teacher's classes for each class of the student, if they differ.
    """

    name: str
    checkpoint: str | None = None
    class_map: dict | None = None

    @property
    def is_config(self) -> bool:
        """Whether the name is that of a config."""
        return self.name.endswith('.py') or '::' in self.name

    def arguments(self, classes: Sequence[str]) -> dict[str, Any]:
        """The arguments of a :class:`~mmseg_kd.distillers.FrozenTeacher`.

        Args:
            classes: The names of the student's classes.

        Raises:
            ConfigError: If the weights are unknown.
            FileNotFoundError: If the config does not exist.
        """
        found: dict[str, Any] = {}
        if not self.is_config:
            if self.checkpoint is not None:
                raise ConfigError(
                    f'--checkpoint is for a teacher with a config, but {self.name} is a network of Hugging Face, which '
                    'comes with its weights; leave it out'
                )
            found['model'] = dict(type='HFSegmentor', pretrained=self.name)
            if self.class_map is None:
                found['model']['classes'] = list(classes)
        else:
            path = str(config_file(self.name))
            found['config'] = self.name if '::' in self.name else os.path.abspath(path)
            found['checkpoint'] = self._weights()
        if self.class_map is not None:
            found['class_map'] = self.class_map
        return found

    @property
    def knows_all_classes(self) -> bool:
        """Whether the teacher knows each class of the student."""
        return self.class_map is None or all(map(listed, self.class_map.values()))

    @property
    def knows_one_class(self) -> bool:
        """Whether the teacher knows only one class of the student."""
        return self.class_map is not None and sum(bool(listed(group)) for group in self.class_map.values()) == 1

    def _weights(self) -> str | None:
        if self.checkpoint is not None:
            return self.checkpoint if '://' in self.checkpoint else os.path.abspath(self.checkpoint)
        if getattr(MODELS.get(model_config(self.name)['type']), 'comes_with_weights', False):
            return None
        if '::' in self.name:
            return 'auto'
        raise ConfigError(f'{self.name} does not name the weights of the teacher; add --checkpoint')


def student_classes(config: Config, name: str) -> list[str]:
    """The names of the classes of the student's training data.

    Args:
        config: Config of the student.
        name: Name of the config, for messages.

    Raises:
        ConfigError: If the config is no training of a segmentor.
    """
    if 'student' in (config.get('model') or {}):
        raise ConfigError(
            f'{name} distils already; train it with tools/train.py, or give the config of the student alone'
        )
    for key in ('model', 'train_dataloader', 'val_dataloader', 'optim_wrapper', 'train_cfg'):
        if config.get(key) is None:
            raise ConfigError(f'{name} must be the config of a training with validation, but has no {key}; add it')
    facts, _ = data_set_facts(config.train_dataloader.dataset, 'train_dataloader.dataset')
    return list(facts.get('classes') or ())


def can_label(teacher: TeacherChoice, student: Config, classes: Sequence[str]) -> bool:
    """Whether a teacher can label images for a student during the training.

    It must know all classes, and the student must be able to have the label 254 for unknown ones.

    Args:
        teacher: The teacher.
        student: Config of the student.
        classes: The names of the student's classes.
    """
    return teacher.knows_all_classes and len(classes) <= UNKNOWN_INDEX != ignored_label(student.model)


def distillation_config(
    student: str,
    teacher: TeacherChoice,
    terms: str,
    folder: str | Path,
    unlabeled: str | None = None,
    options: dict[str, Any] | None = None,
) -> str:
    """The text of a config that inherits the student's config and the terms of a method.

    Such a file cannot inherit a student in MMEngine's new style (``with read_base()``): its whole config is written
    instead.

    Args:
        student: The student's config: a path or ``mmseg::...``.
        teacher: The teacher.
        terms: The terms; see :class:`MethodChoice`.
        folder: The folder of the text's file, to which paths of other files are relative.
        unlabeled: A folder of images without labels to train on as well; see :func:`with_unlabeled`. The teacher
            labels them if it can (:func:`can_label`); otherwise only the terms learn from them.
        options: Other settings of the student's config, by dotted key. The text does not have them, so whoever reads it
            sets them again (:func:`distillation_options`).

    Raises:
        ConfigError: If the student's config is no training of a segmentor, if the teacher's weights are unknown, or if
            the data set cannot have unlabeled images.
        FileNotFoundError: If a config does not exist.

    Example:
        >>> teacher = TeacherChoice('mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py')
        >>> student = 'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'
        >>> print(distillation_config(student, teacher, 'cwd', '.'))
        _base_ = ['mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py', 'mmseg_kd::_base_/terms/cwd.py']
        <BLANKLINE>
        model = dict(
            _delete_=True,
            type='mmseg_kd.Distiller',
            student=_base_.model,
            teacher={'config': 'mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py',
                     'checkpoint': 'auto'},
            terms=_base_.terms,
        )
        <BLANKLINE>
    """
    config = read_config(student)
    merge_options(config, options or {})
    init_default_scope(config.get('default_scope') or 'mmseg')
    classes = student_classes(config, student)
    arguments = teacher.arguments(classes)
    method = read_config(terms_file(terms))
    if {'unlabeled_terms', 'distiller', 'student'} & method.keys():
        raise ConfigError(f'the terms of {terms} need a setup of their own: tools/train.py SETUP --terms {terms}')
    if 'terms' not in method:
        raise ConfigError(f'{terms_file(terms)} must have terms = dict(...), but has none')
    labels = unlabeled is not None and can_label(teacher, config, classes)
    changed = {} if unlabeled is None or labels else average_over_labeled_pixels(config.model)
    if unlabeled is not None:
        joined = with_unlabeled(
            config.train_dataloader.dataset, unlabeled, BY_TEACHER if labels else no_labels(ignored_label(config.model))
        )
    kind = 'mmseg_kd.LabelingDistiller' if labels else 'mmseg_kd.Distiller'
    if Config._is_lazy_import(str(config_file(student))):
        if unlabeled is not None:
            config.train_dataloader.dataset = joined
        return _whole(config, dict(type=kind, student=config.model, teacher=arguments, terms=method.terms), method)
    shown = pprint.pformat(arguments, width=100, sort_dicts=False).replace('\n', '\n' + ' ' * 12)
    lines = [
        f'_base_ = {[_base(student, folder), _base(terms_file(terms), folder)]!r}',
        '',
        *(f'_base_.model.{key} = {dict(loss)!r}' for key, loss in changed.items()),
        'model = dict(',
        '    _delete_=True,',
        f'    type={kind!r},',
        '    student=_base_.model,',
        f'    teacher={shown},',
        '    terms=_base_.terms,',
        ')',
    ]
    if unlabeled is not None:
        joined['datasets'][0]['dataset'] = _Inherited()
        shown = pprint.pformat(dict(_delete_=True, **joined), width=110, sort_dicts=False).replace(
            '\n', '\n' + ' ' * 30
        )
        lines.append(f'train_dataloader = dict(dataset={shown})')
    if 'critic_optim_wrapper' in method:
        lines.append('optim_wrapper = _base_.critic_optim_wrapper')
    return '\n'.join(lines) + '\n'


class _Inherited:
    """The training set of the inherited config, in a text."""

    def __repr__(self) -> str:
        return '_base_.train_dataloader.dataset'


def _base(name: str, folder: str | Path) -> str:
    """A config as it stands in ``_base_``: by package where it comes with one, else relative to the folder."""
    if '::' in name:
        return name
    shipped = str(config_file(f'{TERMS}/pi.py')).removesuffix('_base_/terms/pi.py')
    if name.startswith(shipped):
        return f'mmseg_kd::{name.removeprefix(shipped)}'
    relative = os.path.relpath(name, folder)
    # Behind a link, such as work_dirs on another disk, `..` is not the folder that the path names. MMEngine needs both.
    same = os.path.realpath(os.path.join(folder, relative)) == os.path.realpath(name)
    return relative if same else os.path.abspath(name)


def _whole(config: Config, model: dict, method: Config) -> str:
    merged = Config({**config.to_dict(), 'model': model})
    merged.merge_from_dict(dict(optim_wrapper=method.get('critic_optim_wrapper', {})))
    plain = merged.to_dict()
    return (
        '\n'.join(f'{key} = {pprint.pformat(value, width=118, sort_dicts=False)}' for key, value in plain.items())
        + '\n'
    )
