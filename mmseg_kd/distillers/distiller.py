"""The segmentor that trains a student with one or more teachers."""

import contextlib
import copy
import logging
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import torch
from mmengine.logging import print_log
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..io.arguments import call_mistakes, mistakes, told
from ..io.checkpoint import all_weights, named_weights
from ..io.errors import ConfigError
from .cached_teacher import CachedTeacher
from .class_logits import count_classes
from .dry_run import as_trained, build_skeleton, run_skeleton
from .gradient_share import GradientShares, check_shares
from .inference import image_channels, image_size
from .labels import check_no_unknown, ignored_label, unify_ignored
from .ranks import TermDenominators
from .schedules import level_at
from .side_stream import SideStream, beside
from .taps import PathError, Taps
from .teacher import Spec, build_teachers, scale_of_originals, scaled_size
from .term import Term, student_paths, teacher_paths, wanted_paths


@MODELS.register_module()
class Distiller(BaseSegmentor):
    r"""Train a student segmentor with its own losses and any number of terms that compare it with frozen teachers.

    .. math:: L = L_{student} + \sum_k w_k L_k(student, teacher)

    In testing, exporting and counting it behaves like the student alone; the teachers are not even built.
    ``mmseg.apis.init_model`` returns the student, and loads checkpoints of the distiller or of the exported student.

    Args:
        student: The config of the segmentor to train, as it stands in an MMSegmentation config; its
            ``data_preprocessor`` is used for the whole model.
        teacher: The arguments of a :class:`~mmseg_kd.distillers.FrozenTeacher`, such as
            ``dict(config='mmseg::pspnet/...', checkpoint='auto')``; a list of them for an ensemble; or a dict of either
            by name. ``dict(cache=...)`` reads stored outputs (``tools/cache_teacher.py``) instead; see
            :class:`~mmseg_kd.distillers.CachedTeacher`.
        terms: The arguments of one :class:`~mmseg_kd.distillers.Term` each, by their name in the log.
        data_preprocessor: The data preprocessor for a student or an inline teacher that has none; MMEngine's Runner
            passes that of the config.
        init_cfg: The config of the initialization, as in any MMEngine module.

    Raises:
        ValueError: in one line that names the key, if a path does not exist, shapes or classes cannot be compared, or a
            name is taken.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.distillers import Distiller
        >>> from mmseg_kd.testing.toys import toy_batch, toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> model = Distiller(
        ...     student=toy_segmentor(base_channels=8, auxiliary=False),
        ...     teacher=dict(model=toy_segmentor(base_channels=16, auxiliary=False)),
        ...     terms=dict(
        ...         loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=0.1),
        ...         loss_hint=dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss'))))
        >>> batch = model.data_preprocessor(toy_batch(), training=True)
        >>> sorted(model.loss(**batch))
        ['decode.acc_seg', 'decode.loss_ce', 'loss_hint', 'loss_pi']
        >>> model.terms['loss_hint'].adapters[0]  # from the student's channels to the teacher's
        ConvAdapter(64, 128, kernel_size=(1, 1), stride=(1, 1), bias=False)
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """The student alone for ``mmseg.apis.init_model``, which adds the key ``train_cfg=None`` to every model."""
        if 'train_cfg' not in kwargs or kwargs['train_cfg'] is not None:
            return super().__new__(cls)
        network = MODELS.build(_with_preprocessor(kwargs['student'], kwargs.get('data_preprocessor')))
        network._register_load_state_dict_pre_hook(_take_student)
        return network

    def __init__(
        self,
        student: dict,
        teacher: Spec | dict[str, Spec],
        terms: dict[str, dict],
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if not terms:
            raise ValueError(
                'model.terms is empty; a Distiller needs at least one term, or train the student without it'
            )
        self._assemble(student, teacher, dict(terms=terms), data_preprocessor, init_cfg)

    def _assemble(
        self,
        student: dict,
        teacher: Spec | dict[str, Spec],
        groups: dict[str, dict[str, dict]],
        data_preprocessor: dict | None,
        init_cfg: dict | None,
    ) -> None:
        """The common part of constructors: the networks, and ``groups`` of terms by the attribute that holds them."""
        check_terms(groups)
        wrong = list(mistakes(MODELS, student, 'model.student', nn.Module, 'a segmentor'))
        if wrong:
            raise ConfigError('\n'.join(wrong))
        student = _with_preprocessor(student, data_preprocessor)
        network = MODELS.build(copy.deepcopy(student))
        super().__init__(data_preprocessor=network.data_preprocessor, init_cfg=init_cfg)
        self.student = network
        self.teachers: dict[str, Any] = build_teachers(teacher, data_preprocessor)
        if scale_of_originals(self.teachers) is not None:
            self._check_original_pixels(network)
        for group, terms in groups.items():
            built = {name: Term(name, **term, group=f'model.{group}') for name, term in terms.items()}
            setattr(self, group, nn.ModuleDict(built))
        for name, term in self.all_terms.items():
            for ending, logged in (('weight', 'schedule'), ('share', 'share of the gradient')):
                if f'{name}_{ending}' in self.all_terms:
                    raise ValueError(
                        f'{term.key}: the name of a term must not be that of another one with _{ending}, under which '
                        f'the log has the {logged} of {name}; rename {name}_{ending}'
                    )
        schedules = {term.key: term.schedule for term in self.all_terms.values() if term.by_share}
        check_shares({key: schedule.share for key, schedule in schedules.items() if schedule.constant})
        self.gradient_shares = GradientShares(self.all_terms) if schedules else None
        self._labels_checked = False
        self._teacher_missing: Exception | None = None
        self._add_networks(data_preprocessor)
        self._fit_terms(student)

    def _add_networks(self, data_preprocessor: dict | None) -> None:
        """Give teachers with a cache a network if they need one."""

    def _check_original_pixels(self, network: nn.Module) -> None:
        """Raise ConfigError if the images of the student are not those of the pipeline."""
        if getattr(network.data_preprocessor, 'batch_augments', None) is not None:
            raise ConfigError(
                "model.teacher.pixels must not be 'original' with batch_augments in the data_preprocessor, which "
                "change the student's images after the pipeline; remove one of them"
            )

    teachers_train = False  # whether a teacher is in training mode while it is read

    # The prefixes under which a plain student's checkpoint is loaded.
    plain_prefixes: tuple[str, ...] = ('student.',)

    # The prefixes under which the name of a term occurs among the losses.
    term_prefixes: tuple[str, ...] = ('',)

    # Stock TTA wrappers and visualizers read these attributes of the segmentor.
    align_corners = property(lambda self: self.student.align_corners)
    num_classes = property(lambda self: self.student.num_classes)
    out_channels = property(lambda self: self.student.out_channels)
    label_classes = property(lambda self: count_classes(self.student), doc='The number of classes in the labels.')
    decode_head = property(lambda self: self.student.decode_head)

    @property
    def all_terms(self) -> dict[str, Term]:
        """Every term, by its name."""
        return dict(self.terms.items())

    @property
    def teacher_paths(self) -> list[str]:
        """The paths that are read in the teachers, without repetition."""
        return list(dict.fromkeys([*teacher_paths(self.all_terms.values()), *self.other_paths.values()]))

    @property
    def stored_paths(self) -> list[str]:
        """The paths that a cache answers, without repetition."""
        return self.teacher_paths

    @property
    def other_paths(self) -> dict[str, str]:
        """The paths that are read in the teachers beside those of the terms, by their key in the config."""
        return {}

    @property
    def learners(self) -> list[nn.Module]:
        """The networks that are trained."""
        return [self.student]

    def move_terms(self, iteration: int, total: int) -> None:
        """Set the weights of terms with a schedule, and the shares of those with a :class:`GradientShare`.

        Args:
            iteration: The iteration, from 0.
            total: The number of iterations of the training.
        """
        for term in self.all_terms.values():
            if term.schedule is not None:
                term.level = level_at(term.schedule, iteration, total)
        if self.gradient_shares is not None:
            self.gradient_shares.iteration = iteration

    # torch.compile compiles the networks and the losses separately; the code between them is not worth a graph.
    @torch.compiler.disable(recursive=False)
    def loss(self, inputs: Tensor, data_samples: list[Any]) -> dict[str, Tensor]:
        """The student's own losses and the weighted terms, by name.

        With several processes, the mean of a term over them is its value for the joined batch, whatever number of
        labeled pixels each of them has. The student's own losses are as MMSegmentation computes them in each process.

        Args:
            inputs: The preprocessed images (N, 3, H, W).
            data_samples: One ``SegDataSample`` per image, with its label map.

        Raises:
            FileNotFoundError: if the teacher's config is missing.
            ValueError: in the first step, if a label lies outside the classes.
        """
        denominators = TermDenominators()
        losses = denominators.join(self._losses(inputs, data_samples, denominators))
        if self.gradient_shares is None:
            return losses
        return self.gradient_shares.weigh(losses, self.all_terms, self.learners, self.parameters(), self.term_prefixes)

    def _losses(self, inputs: Any, data_samples: Any, denominators: TermDenominators) -> dict[str, Tensor]:
        """The losses of this process by name; ``denominators`` receives what its terms divide by."""
        if self._teacher_missing is not None:
            raise self._teacher_missing
        with beside(self._side_streams):
            outputs = self._teacher_outputs(inputs, data_samples, wanted_paths(self.terms.values()))
            data_samples = self._with_labels(data_samples, outputs)
            labels = self._labels(data_samples)
            with Taps(self.student, student_paths(self.terms.values()), inputs) as values:
                losses = self.student(inputs, data_samples, mode='loss')
        self._add_terms(losses, denominators, self.terms, values, outputs, labels)
        return losses

    def resting_parameters(self) -> list[nn.Parameter]:
        """Parameters of the auxiliary modules that do not learn in this iteration."""
        return [
            p
            for term in self.all_terms.values()
            if term.critic is not None and not term.critic_learns
            for p in term.critic.parameters()
        ]

    def state_dict(self, *args: Any, prefix: str = '', **kwargs: Any) -> dict[str, Tensor]:
        """All weights, including those that a network omits from its own state dict (LoRA omits the weights of its
        base).
        """
        state = super().state_dict(*args, prefix=prefix, **kwargs)
        saved = {tensor.data_ptr() for tensor in state.values() if isinstance(tensor, Tensor)}
        for name, weight in all_weights(self).items():
            # Some networks also save their weights under other names.
            if prefix + name not in state and weight.data_ptr() not in saved:
                state[prefix + name] = weight if kwargs.get('keep_vars') else weight.detach()
        return state

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load a plain student's checkpoint into the student, and refuse a checkpoint without any of its weights."""
        own = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
        if own and not any(name.startswith('student.') for name in own):
            for name in own:
                del state_dict[prefix + name]
            state_dict.update(
                {prefix + name: value for name, value in named_weights(own, self, 'the checkpoint').items()}
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def predict(self, inputs: Tensor, data_samples: list[Any] | None = None) -> list[Any]:
        """The student's prediction."""
        return self.student.predict(inputs, data_samples)

    def extract_feat(self, inputs: Tensor) -> Any:
        """The student's features."""
        return self.student.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """The student's logits, at the size of the image."""
        return self.student.encode_decode(inputs, batch_img_metas)

    def _forward(self, inputs: Tensor, data_samples: list[Any] | None = None) -> Any:
        return self.student(inputs, data_samples, mode='tensor')

    def _teacher_outputs(self, inputs: Tensor, data_samples: list[Any], paths: Iterable[str]) -> dict[str, Any]:
        """The teacher outputs at the paths of the terms, for labeled images."""
        return self._read_teachers(inputs, paths, data_samples)

    def _with_labels(self, data_samples: list[Any], outputs: dict[str, Any]) -> list[Any]:
        """The data samples from which the student and the terms learn."""
        return data_samples

    @property
    def _side_streams(self) -> list[SideStream]:
        streams = (getattr(teacher, 'stream', None) for teacher in self.teachers.values())
        return [stream for stream in streams if stream is not None]

    def _read_teachers(
        self, inputs: Tensor, paths: Iterable[str], data_samples: list[Any] | None = None
    ) -> dict[str, Any]:
        """Teacher outputs by path. Each teacher runs once for all its paths, and not at all if it has none."""
        outputs = {}
        for name, own in self._split(paths).items():
            read = self.teachers[name].read(inputs, own, self.data_preprocessor, data_samples)
            outputs.update({_join(name, path): value for path, value in read.items()})
        return outputs

    @staticmethod
    def _add_terms(
        losses: dict[str, Tensor],
        denominators: TermDenominators,
        terms: nn.ModuleDict,
        values: dict[str, Any],
        outputs: dict[str, Any],
        labels: Tensor | None,
        prefix: str = '',
    ) -> None:
        """Compute the terms and add them to ``losses``."""
        term: Any
        for term in terms.values():
            found = {prefix + name: value for name, value in term(values, outputs, labels).items()}
            for name in found:
                if name in losses:
                    raise ValueError(f'{term.key}: the student already logs "{name}"; rename the term')
            losses.update(found)
            denominators.add(found, partial(term.denominator, values, outputs, labels))

    @staticmethod
    def _network_path(path: str) -> str:
        """The path in the teachers' networks for a path of a term."""
        return path

    def _split(self, paths: Iterable[str]) -> dict[str, list[str]]:
        """Paths by the name of the teacher with which they start."""
        wanted: dict[str, list[str]] = {}
        for path in paths:
            name, rest = ('', path) if '' in self.teachers else path.split('.', 1) if '.' in path else (path, '')
            if name not in self.teachers or not rest:
                raise PathError(
                    f'the teacher\'s path "{path}" must start with the name of a teacher: '
                    f'{", ".join(f"{known}.{rest or path}" for known in self.teachers)}'
                )
            wanted.setdefault(name, []).append(rest)
        return wanted

    def _fit_terms(self, student: dict) -> None:
        """Check all paths and build the adapters by a dry run of the architectures, which needs no weights."""
        terms = self.all_terms.values()
        paths = {path: self._network_path(path) for path in self.teacher_paths}
        wanted = self._split(dict.fromkeys(paths.values()))
        skeletons = {'student': build_skeleton(student)}
        try:
            for name, teacher in self.teachers.items():
                teacher.check(wanted.get(name, []))
            built = {name: teacher.skeleton() for name, teacher in self.teachers.items()}
            skeletons.update({name: skeleton for name, skeleton in built.items() if skeleton is not None})
        except FileNotFoundError as error:
            # A distilled student may be tested on a machine without its teacher: only training needs the teacher.
            self._teacher_missing = FileNotFoundError(f'{_missing_key(self.teachers)}: {error}')
            print_log(f'{self._teacher_missing}; this model can be tested, but not trained', 'current', logging.WARNING)
        channels = {name: image_channels(skeleton) for name, skeleton in skeletons.items()}
        for name, number in channels.items():
            if number != channels['student']:
                key = f'model.teacher.{name}'.rstrip('.')
                raise ValueError(
                    f'student and teacher must take the same images, but those of {key} have {number} channels and '
                    f'those of model.student {channels["student"]}; take a teacher of the same kind of images'
                )
        for term in terms:
            _check_paths(f'{term.key}.student', skeletons['student'], term.student_paths)
            for name, read_there in self._split(paths[path] for path in term.teacher_paths).items():
                if name in skeletons:
                    _check_paths(f'{term.key}.teacher', skeletons[name], read_there)
        for key, path in self.other_paths.items():
            ((name, read_there),) = self._split([path]).items()
            if name in skeletons:
                _check_paths(key, skeletons[name], read_there)
        if self._teacher_missing is not None:
            return
        caches = [teacher for teacher in self.teachers.values() if isinstance(teacher, CachedTeacher)]
        size = caches[0].store.index['size'] if caches else image_size(self.data_preprocessor, default=256)
        with _naming(terms, 'student'):
            students = run_skeleton(as_trained(skeletons['student']), student_paths(terms), size)
        teachers = {}
        for name, own in wanted.items():
            if name not in skeletons:
                teachers.update({_join(name, path): value for path, value in self.teachers[name].shapes(own).items()})
                continue
            scale = getattr(self.teachers[name], 'scale', 1)
            skeleton = as_trained(skeletons[name]) if self.teachers_train else skeletons[name]
            with _naming(terms, 'teacher'):
                read = run_skeleton(skeleton, own, scaled_size(size, scale))
            teachers.update({_join(name, path): value for path, value in read.items()})
        known = {}
        for path, inner in paths.items():
            ((name, rest),) = self._split([inner]).items()
            if self.teachers[name].known_classes(*rest) is not None:
                known[path] = self.teachers[name].known_classes(*rest)
        for term in terms:
            term.fit(students, {path: teachers[own] for path, own in paths.items()}, self.label_classes, known)
        self._check_teachers(teachers, known)

    def _check_teachers(self, outputs: dict[str, Tensor], known: dict[str, list[int]]) -> None:
        """Check what is read beside the terms, from outputs of the dry run and the classes that teachers know."""

    def _labels(self, data_samples: list[Any]) -> Tensor | None:
        """Label maps (N, H, W) with 255 for ignored pixels, if a term needs them.

        In the first step, all labels must be classes, or the label that the student's own loss ignores.
        """
        if self._labels_checked and not any(term.loss.needs_labels for term in self.terms.values()):
            return None
        labels = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples])
        ignored = ignored_label(self.student)
        if not self._labels_checked:
            known = labels[labels != ignored]
            check_no_unknown(known, self.label_classes, type(self).__name__)
            if known.numel() and (known.max() >= self.label_classes or known.min() < 0):
                raise ValueError(
                    f'labels must lie in 0..{self.label_classes - 1} or be {ignored} (ignored), but the first '
                    f'batch holds {known.min()}..{known.max()}; check reduce_zero_label, the label files, '
                    'data_preprocessor.seg_pad_val, or decode_head.num_classes and ignore_index'
                )
            self._labels_checked = True
        return unify_ignored(labels, ignored)


def _with_preprocessor(student: dict, data_preprocessor: dict | None) -> dict:
    return student if student.get('data_preprocessor') else dict(student, data_preprocessor=data_preprocessor)


def _take_student(state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
    """Rename the weights of a distiller's checkpoint, before a plain student loads them."""
    weights = {
        name.removeprefix('student.'): value for name, value in state_dict.items() if name.startswith('student.')
    }
    if weights and not prefix:
        state_dict.clear()
        state_dict.update(weights)


@contextlib.contextmanager
def _naming(terms: Iterable[Term], side: str) -> Iterator[None]:
    """Put the key of the term before the error about a path."""
    try:
        yield
    except PathError as error:
        quoted = re.search('"([^"]*)"', str(error))
        for term in terms:
            if quoted and any(path.endswith(quoted[1]) for path in getattr(term, f'{side}_paths')):
                raise PathError(f'{term.key}.{side}: {error}') from None
        raise


def check_terms(groups: dict[str, Any]) -> None:
    """Raise ConfigError, with a line for each mistake, unless terms have the arguments of :class:`Term`.

    Args:
        groups: The terms by name, by their key in ``model``.
    """
    wrong = []
    for group, terms in groups.items():
        if not isinstance(terms, dict):
            wrong.append(f'model.{group} must be a dict of terms, but is {told(terms)}; write dict(loss_...=...)')
            continue
        for name, term in terms.items():
            wrong += call_mistakes(Term, term, f'model.{group}.{name}', given=('name', 'group'))
    if wrong:
        raise ConfigError('\n'.join(wrong))


def _missing_key(teachers: dict[str, Any]) -> str:
    cached = any(isinstance(teacher, CachedTeacher) for teacher in teachers.values())
    model = all(getattr(teacher, 'config', None) is None for teacher in teachers.values())
    return f'model.teacher.{"cache" if cached else "model" if model else "config"}'


def _join(teacher: str, path: str) -> str:
    return f'{teacher}.{path}' if teacher else path


def _check_paths(key: str, model: nn.Module, paths: list[str]) -> None:
    try:
        Taps(model, paths)
    except PathError as error:
        raise PathError(f'{key}: {error}') from None
