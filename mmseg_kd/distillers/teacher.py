"""Teachers: networks whose outputs are read, and that never learn."""

import logging
import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import DATASETS, MODELS
from torch import Tensor, nn

from ..adapters import align
from ..io.arguments import build, call_mistakes, mistakes
from ..io.checkpoint import CheckpointError, load_weights
from ..io.configs import model_config, published_weights, read_config
from ..io.data_sets import data_set_facts
from ..io.errors import ConfigError
from ..models.class_map import ClassMap, check_groups, listed, map_classes
from .batch_norm_folding import fold_batch_norms
from .cached_teacher import CachedTeacher
from .class_logits import count_classes
from .compiled_pass import CompiledPass, replayed
from .dry_run import build_skeleton
from .inference import forward_inference
from .normalization import Renormalize, normalizes
from .side_stream import SideStream
from .taps import LOGITS, PathError

DTYPES = dict(bfloat16=torch.bfloat16, float16=torch.float16, float32=torch.float32)
PIXELS = ('student', 'original')
ORIGINAL = 'original'  # key of the original pixels in a data sample
MEMORY_FORMATS = dict(contiguous_format=torch.contiguous_format, channels_last=torch.channels_last)
KEYS = dict.fromkeys(
    (
        'config',
        'model',
        'checkpoint',
        'scale',
        'pixels',
        'dtype',
        'memory_format',
        'class_map',
        'classes',
        'fold_batch_norm',
        'compile',
        'cuda_graphs',
        'own_stream',
    )
).keys()
Spec = dict | list[dict]


class FrozenTeacher:
    """A frozen teacher, kept outside the student's module tree.

    It is not an ``nn.Module``: nothing of it appears in the ``state_dict()`` or ``parameters()`` of the model that
    holds it, in an optimizer, in DDP's buffers or in an EMA copy (a deep copy shares it). It is built and loaded when
    it is first read, always in eval mode and without gradient. It runs only until the last path has been read, and
    never its own loss.

    Args:
        config: The config of the teacher, as a path or ``mmseg::pspnet/...``. Its ``model`` (or the student of a
            distiller) is built, with the ``data_preprocessor`` at the top level of that file if it has none. Give this
            or ``model``.
        model: The config of the segmentor itself.
        checkpoint: The path or address of its weights, or ``'auto'`` for those that the library's metafile names for
            ``config``. None keeps the initial weights: random, with a warning, unless the segmentor comes with its
            weights.
        scale: The factor by which the sides of the images that ``pixels`` names are enlarged.
        pixels: The images that the teacher sees: ``'student'`` for those of the student, or ``'original'`` for the same
            part of the file, where the student is trained with reduced images. Training adds these pixels to the data
            samples by itself; see :class:`~mmseg_kd.datasets.OriginalPixels`.
        dtype: The precision of the teacher: ``'bfloat16'`` or ``'float16'`` under autocast, which keeps the weights and
            sensitive operations in float32; ``'float32'`` even if training is under autocast; None for that of
            training.
        memory_format: The memory format of the teacher, such as ``'channels_last'``.
        class_map: The teacher's classes for each class of the student, if they differ: a dict with the names of all
            classes of the student as keys, in the order of the labels. Its values are names or indices of classes of
            the teacher, or lists of them, whose probabilities are added up. An empty list is a class that the teacher
            does not know: terms between logits leave it out, so that it is learned from the labels alone. Everything
            that reads the teacher's predictions sees the student's classes. See :class:`~mmseg_kd.models.ClassMap`.
        classes: The names of the teacher's classes for ``class_map``, or the name of a registered data set. The default
            are those of a segmentor of Hugging Face, or of the data set in the file ``config``.
        fold_batch_norm: Whether to fold batch norms into the convolutions before them, in the first step
            (:func:`~mmseg_kd.distillers.batch_norm_folding.fold_batch_norms`). The network is then read at the paths of
            the terms only.
        compile: Whether to compile the teacher with ``torch.compile``, in the first step, which then takes minutes
            (:class:`~mmseg_kd.distillers.compiled_pass.CompiledPass`). It pays for trainings of hours with images of
            one size.
        cuda_graphs: Whether a compiled teacher is replayed as a CUDA graph, which saves the time to launch its kernels.
            Its outputs are copied. It needs ``compile=True``, and changes nothing on other devices. Not yet tested on a
            GPU.
        own_stream: Whether the teacher runs on a CUDA stream of its own, so that a GPU with room for both executes it
            beside the student's forward pass (:class:`~mmseg_kd.distillers.side_stream.SideStream`). It changes nothing
            on other devices. Only a :class:`Distiller` without unlabeled images has such steps. Not yet tested on a
            GPU.
        data_preprocessor: The data preprocessor for a ``model`` that has none, unless that comes with weights and its
            own preprocessor. A distiller passes that of the top level of its config. A teacher that has none at all
            sees images of 0..255, as it would in MMSegmentation, with a warning.

    Raises:
        ValueError: if not exactly one of ``config`` and ``model`` is given, ``pixels``, ``dtype`` or ``memory_format``
            is none of these, or ``cuda_graphs`` is given without ``compile``.

    Example:
        >>> import torch
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.distillers import FrozenTeacher
        >>> from mmseg_kd.testing.toys import toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> teacher = FrozenTeacher(model=toy_segmentor(num_classes=4))
        >>> outputs = teacher.read(torch.zeros(1, 3, 32, 32), ['logits', 'backbone[0]'])
        >>> outputs['logits'].shape, outputs['logits'].requires_grad
        (torch.Size([1, 4, 4, 4]), False)
    """

    def __init__(
        self,
        config: str | None = None,
        model: dict | None = None,
        checkpoint: str | None = None,
        scale: float = 1.0,
        pixels: str = 'student',
        dtype: str | None = None,
        memory_format: str = 'contiguous_format',
        class_map: dict | None = None,
        classes: str | Sequence[str] | None = None,
        fold_batch_norm: bool = False,
        compile: bool = False,
        cuda_graphs: bool = False,
        own_stream: bool = False,
        data_preprocessor: dict | None = None,
    ) -> None:
        if (config is None) == (model is None):
            raise ValueError(
                'model.teacher needs either config (a path, or mmseg::...) or model (a segmentor as dict), but '
                f'has {"neither" if config is None else "both"}'
            )
        if scale <= 0:
            raise ValueError(f'model.teacher.scale must be > 0, but is {scale}')
        if pixels not in PIXELS:
            raise ValueError(f'model.teacher.pixels must be one of {", ".join(PIXELS)}, but is {pixels!r}')
        if cuda_graphs and not compile:
            raise ValueError('model.teacher.cuda_graphs needs a compiled teacher; add compile=True')
        if class_map is not None:
            check_groups(class_map, 'model.teacher.class_map')
        elif classes is not None:
            raise ValueError('model.teacher.classes are read for class_map only; add class_map, or leave them out')
        self.config, self.checkpoint, self.scale, self.pixels = config, checkpoint, scale, pixels
        self.class_groups, self._class_names = class_map, classes
        self._model_config: Any = model
        if (
            model is not None
            and model.get('data_preprocessor') is None
            and data_preprocessor is not None
            and not getattr(MODELS.get(model['type']), 'comes_with_weights', False)
        ):
            self._model_config = dict(model, data_preprocessor=data_preprocessor)
        self.dtype = _torch_name('dtype', dtype, DTYPES) if dtype else None
        self._memory_format = _torch_name('memory_format', memory_format, MEMORY_FORMATS)
        self.fold_batch_norm, self.compile, self.cuda_graphs = fold_batch_norm, compile, cuda_graphs
        self.stream = SideStream() if own_stream else None
        self._paths: set[str] = set()  # those of the terms
        self._folded = False
        self._compiled: CompiledPass | None = None
        self._module: BaseSegmentor | None = None
        self._renormalize: Renormalize | None = None
        self._normalize: Renormalize | None = None
        self._outputs_checked = False

    key = 'model.teacher'  # of its config, for messages

    @property
    def model_config(self) -> dict:
        """Config of the segmentor; read from its file at the first access.

        Raises:
            FileNotFoundError: if the file is missing.
        """
        if self._model_config is None:
            self._model_config = model_config(str(self.config))
        return self._model_config

    @property
    def module(self) -> BaseSegmentor:
        """The network, built, loaded and frozen at the first access.

        Raises:
            CheckpointError: if the checkpoint is missing, unsafe, of another network, or holds NaN.
        """
        if self._module is None:
            self._module = self._build()
        return self._module

    # torch.compile of a training step must not trace the construction of a network.
    @torch.compiler.disable
    def _build(self) -> BaseSegmentor:
        # init_weights() is never called: the checkpoint replaces any weights that it would download.
        where = f'{self.key}.model' if self.config is None else f'{self.config}: model'
        module = build(MODELS, self.model_config, where)
        if self.checkpoint is not None:
            try:
                path = published_weights(self.config or '') if self.checkpoint == 'auto' else self.checkpoint
                load_weights(module, path)
            except ValueError as error:
                raise CheckpointError(f'{self.key}.checkpoint: {error}') from None
        elif not getattr(module, 'comes_with_weights', False):
            print_log(
                f'{self.key}.checkpoint is None: the teacher {self.config or ""} has random weights',
                'current',
                logging.WARNING,
            )
        if not normalizes(module.data_preprocessor):
            print_log(
                f'the data_preprocessor of model.teacher has no mean and std, so the teacher {self.config or ""} sees '
                'images of 0..255; if it was trained with normalized images, add mean and std to its config',
                'current',
                logging.WARNING,
            )
        self._map_classes(module)
        module.requires_grad_(False).eval()
        return module.to(memory_format=self._memory_format)

    def skeleton(self) -> nn.Module:
        """The network without weights; see :func:`~mmseg_kd.distillers.dry_run.build_skeleton`."""
        return self._map_classes(build_skeleton(self.model_config))

    @property
    def known(self) -> list[int] | None:
        """The indices of the student's classes that the teacher knows; None if it knows them all."""
        known = [index for index, sources in enumerate((self.class_groups or {}).values()) if listed(sources)]
        return known if self.class_groups is not None and len(known) < len(self.class_groups) else None

    def _map_classes(self, module: nn.Module) -> nn.Module:
        if self.class_groups is None:
            return module
        classes = self._own_classes(module)
        number = count_classes(module)
        if not isinstance(classes, int) and len(classes) != number:
            raise ValueError(
                f'model.teacher.classes must name the {number} classes of the teacher, but names {len(classes)}'
            )
        return map_classes(module, ClassMap(self.class_groups, classes, 'model.teacher.class_map'))

    def _own_classes(self, module: nn.Module) -> Sequence[str] | int:
        """The names of the network's classes, or their number if the names are unknown."""
        names = self._class_names
        if isinstance(names, str):
            dataset = DATASETS.get(names)
            if dataset is None:
                raise ValueError(
                    f'model.teacher.classes must be names of classes or a registered data set, but is "{names}"'
                )
            names = dataset.METAINFO['classes']
        names = names or getattr(module, 'class_names', None)
        if not names and self.config is not None:
            dataset = read_config(self.config).get('test_dataloader', {}).get('dataset')
            names = (
                data_set_facts(dataset, f'{self.config}: test_dataloader.dataset')[0].get('classes') if dataset else ()
            )
        return list(names) if names else count_classes(module)

    @property
    def members(self) -> list['FrozenTeacher']:
        """Itself; see :class:`EnsembleTeacher`."""
        return [self]

    def check(self, paths: Iterable[str]) -> None:
        """Note the paths of the terms. Raise PathError for paths that this kind of teacher never has; a single network
        has none of these.
        """
        self._paths.update(paths)

    def known_classes(self, path: str) -> list[int] | None:
        """The indices of the student's classes that a path holds, if it holds classes and not all."""
        return self.known if path == LOGITS else None

    def read(
        self,
        inputs: Tensor,
        paths: Iterable[str],
        preprocessor: nn.Module | None = None,
        data_samples: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """Values of the paths when the teacher sees the student's images.

        Args:
            inputs: The images (N, C, H, W) as the student's preprocessor returns them.
            paths: The paths to read; see :class:`~mmseg_kd.distillers.Taps`.
            preprocessor: The student's preprocessor; if the teacher's normalizes differently, the images are converted.
                None means that the images are already normalized for the teacher.
            data_samples: The data samples of the images, with the pixels of ``pixels='original'``, and the numbers that
                a :class:`CachedTeacher` needs.

        Raises:
            PathError: if batch norms were folded for other paths.
            ValueError: if outputs are not finite, or data samples have no original pixels.
        """
        if self.stream is None:
            return self._read(inputs, list(paths), preprocessor, data_samples)
        return self.stream.run(lambda: self._read(inputs, list(paths), preprocessor, data_samples), inputs.device)

    def _read(
        self, inputs: Tensor, paths: list[str], preprocessor: nn.Module | None, data_samples: Sequence[Any] | None
    ) -> dict[str, Any]:
        module = self.module
        if next(module.parameters()).device != inputs.device:
            module.to(inputs.device)
        with torch.no_grad():
            if self.pixels == ORIGINAL:
                inputs = self._originals(inputs, data_samples or [])
            else:
                if self._renormalize is None and preprocessor is not None:
                    self._renormalize = Renormalize(preprocessor, module.data_preprocessor)
                if self._renormalize is not None:
                    inputs = self._renormalize(inputs)
                inputs = at_scale(inputs, self.scale)
            inputs = inputs.contiguous(memory_format=self._memory_format)
            if self.fold_batch_norm:
                self._fold(inputs, paths)
            with in_precision(self.dtype, inputs.device.type):
                outputs = self._run(inputs, paths)
        if not self._outputs_checked:
            self._check_outputs(outputs)
        return outputs

    def _originals(self, inputs: Tensor, data_samples: Sequence[Any]) -> Tensor:
        """The normalized original pixels of images, padded on the right and below like the images."""
        parts = original_parts(data_samples, self.key)
        if self._normalize is None:
            self._normalize = Renormalize(nn.Identity(), self.module.data_preprocessor)
        height, width = scaled_size(inputs.shape[2:], data_samples[0].get(ORIGINAL).scale)
        if any(part.shape[1] > height or part.shape[2] > width for part in parts):
            raise ValueError(
                f'{self.key}.pixels: the original pixels of a batch must show parts of its images, {height}x{width} at '
                f'most, but have the sizes {[tuple(part.shape[1:]) for part in parts]}; remove pixels, or what changes '
                'the images after the pipeline'
            )
        images = inputs.new_zeros(len(parts), len(parts[0]), height, width)
        for image, part in zip(images, parts):
            image[:, : part.shape[1], : part.shape[2]] = self._normalize(part[None].to(image))[0]
        return images

    def _run(self, inputs: Tensor, paths: list[str]) -> dict[str, Any]:
        if not self.compile:
            return forward_inference(self.module, inputs, paths)
        if self._compiled is None:
            compiler = replayed if self.cuda_graphs else None
            self._compiled = CompiledPass(self.module, f'{self.key}.compile', compiler)
        return self._compiled(inputs, paths)

    @torch.compiler.disable
    def _fold(self, inputs: Tensor, paths: list[str]) -> None:
        """Fold the batch norms in the first step."""
        if not self._folded:
            self._paths.update(paths)
            # TF32 would hide whether the outputs stay the same.
            with (
                in_precision(torch.float32, inputs.device.type),
                torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
            ):
                fold_batch_norms(
                    self.module,
                    lambda: forward_inference(self.module, inputs, self._paths),
                    f'{self.key}.fold_batch_norm',
                )
            self._folded = True
        for path in paths:
            if path not in self._paths:
                raise PathError(
                    f'{self.key}.fold_batch_norm: batch norms were folded for {", ".join(sorted(self._paths))}, but '
                    f'"{path}" is read, whose value may have changed; set fold_batch_norm=False'
                )

    @torch.compiler.disable
    def _check_outputs(self, outputs: dict[str, Any]) -> None:
        """Raise ValueError in the first step if outputs are NaN or infinite. A logit of minus infinity is a probability
        of 0.
        """
        for path, value in outputs.items():
            if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
                greatest = value.amax().item()
                if not greatest < math.inf:
                    cause = 'dtype (bfloat16 overflows later)' if self.dtype == torch.float16 else 'checkpoint'
                    raise ValueError(
                        f'{self.key}: outputs must be finite, but "{path}" holds {greatest} in the first step; check '
                        f'its {cause}, and the mean and std of its data_preprocessor'
                    )
        self._outputs_checked = True

    def __deepcopy__(self, memo: dict) -> 'FrozenTeacher':
        return self

    def __getstate__(self) -> dict:
        unsaved = dict.fromkeys(('_module', '_renormalize', '_normalize', '_compiled'))
        stream = SideStream() if self.stream else None
        return {**self.__dict__, **unsaved, '_folded': False, 'stream': stream}


class EnsembleTeacher:
    """Several teachers as one: its ``logits`` are the logarithm of their mean class probabilities.

    Args:
        members: The teachers; logits of other sizes are resized to those of the first.

    Example:
        >>> import torch
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.distillers import EnsembleTeacher, FrozenTeacher
        >>> from mmseg_kd.testing.toys import toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> teacher = EnsembleTeacher([FrozenTeacher(model=toy_segmentor(num_classes=4)) for _ in range(2)])
        >>> logits = teacher.read(torch.zeros(1, 3, 32, 32), ['logits'])['logits']
        >>> torch.allclose(logits.exp().sum(1), torch.ones(1))
        True
    """

    def __init__(self, members: list[Any]) -> None:
        self.members = members

    @property
    def model_config(self) -> dict:
        """Config of the first member, whose shapes stand for those of all."""
        return self.members[0].model_config

    def skeleton(self) -> nn.Module:
        """The network of the first member without weights."""
        return self.members[0].skeleton()

    @property
    def known(self) -> list[int] | None:
        """The indices of the student's classes that the members know; None if they know them all.

        Raises:
            ValueError: if they know different classes.
        """
        known = [member.known for member in self.members]
        if any(classes != known[0] for classes in known):
            raise ValueError(
                'the members of an ensemble must know the same classes of the student, but their class_map leaves out '
                'different ones; give them as several teachers, each with a term'
            )
        return known[0]

    def check(self, paths: Iterable[str]) -> None:
        """Raise PathError unless only ``logits`` are read."""
        for path in paths:
            if path != LOGITS:
                raise PathError(
                    f'an ensemble has "logits" only, but "{path}" is read; name the teachers to read one '
                    'of them: teacher=dict(first=dict(...), second=dict(...)) and the path first.' + path
                )

    def known_classes(self, path: str) -> list[int] | None:
        """See :meth:`FrozenTeacher.known_classes`."""
        return self.known

    def read(
        self,
        inputs: Tensor,
        paths: Iterable[str],
        preprocessor: nn.Module | None = None,
        data_samples: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """See :meth:`FrozenTeacher.read`."""
        self.check(paths)
        votes: list[Tensor] = []
        for member in self.members:
            logits = member.read(inputs, [LOGITS], preprocessor, data_samples)[LOGITS].float()
            votes.append(F.log_softmax(align(logits, votes[0]) if votes else logits, dim=1))
        return {LOGITS: log_mean(votes)}

    def __deepcopy__(self, memo: dict) -> 'EnsembleTeacher':
        return self


class OnlineTeacher:
    """A network of the model itself that serves as a teacher, without gradient, and runs only as deep as it is read.

    It is used in its current state: in train or eval mode, on its device, with the student's images.

    Args:
        module: The segmentor, a part of the model that reads it.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module, self.scale, self.pixels = module, 1.0, 'student'

    @property
    def members(self) -> list['OnlineTeacher']:
        """Itself; see :class:`EnsembleTeacher`."""
        return [self]

    def check(self, paths: Iterable[str]) -> None:
        """See :meth:`FrozenTeacher.check`."""

    def known_classes(self, path: str) -> None:
        """See :meth:`FrozenTeacher.known_classes`; the network knows all classes."""

    @torch.no_grad()
    def read(
        self,
        inputs: Tensor,
        paths: Iterable[str],
        preprocessor: nn.Module | None = None,
        data_samples: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """See :meth:`FrozenTeacher.read`; the student's preprocessor is also the teacher's."""
        return forward_inference(self.module, inputs, paths)


Teacher = FrozenTeacher | EnsembleTeacher  # with networks; a CachedTeacher has none


def teachers_by_name(spec: Spec | dict[str, Spec]) -> dict[str, Spec]:
    """The teachers of ``model.teacher`` by name; a single one, or an ensemble, has the name ``''``.

    Args:
        spec: The specification of :func:`build_teachers`.
    """
    return spec if isinstance(spec, dict) and spec and not {'config', 'model', 'cache'} & spec.keys() else {'': spec}


def has_cache(spec: Any) -> bool:
    """Whether a teacher of a specification reads stored outputs.

    Args:
        spec: The specification of :func:`build_teachers`.

    Example:
        >>> has_cache([dict(config='a.py'), dict(config='b.py')]), has_cache(dict(deep=dict(cache='work_dirs/cache')))
        (False, True)
    """
    if isinstance(spec, (list, tuple)):
        return any(map(has_cache, spec))
    if not isinstance(spec, dict):
        return False
    if 'cache' in spec:
        return True
    return not {'config', 'model'} & spec.keys() and any(map(has_cache, spec.values()))


def live_teachers(spec: Any, key: str = 'model.teacher') -> Any:
    """The specification of teachers without their caches, for whoever runs their networks.

    Args:
        spec: The specification of :func:`build_teachers`.
        key: Its key in the config.

    Raises:
        ConfigError: if a teacher has nothing but a cache.

    Example:
        >>> live_teachers(dict(config='teacher.py', checkpoint='teacher.pth', cache='work_dirs/cache/teacher'))
        {'config': 'teacher.py', 'checkpoint': 'teacher.pth'}
    """
    if isinstance(spec, (list, tuple)):
        return [live_teachers(member, f'{key}[{i}]') for i, member in enumerate(spec)]
    if not isinstance(spec, dict):
        return spec
    if not {'config', 'model'} & spec.keys():
        live = {name: live_teachers(one, f'{key}.{name}') for name, one in spec.items() if name != 'cache'}
    else:
        live = {name: value for name, value in spec.items() if name != 'cache'}
    if 'cache' in spec and not live:
        raise ConfigError(
            f'{key} has a cache of stored outputs alone, but its network is needed here; add its config and checkpoint'
        )
    return live


def build_teachers(spec: Spec | dict[str, Spec], data_preprocessor: dict | None = None) -> dict[str, Any]:
    """One unnamed teacher (under the name ``''``), or several by name.

    Args:
        spec: The arguments of one :class:`FrozenTeacher`; a list of such arguments, for an ensemble; or a dict of
            either by name. With the key ``cache``, a :class:`CachedTeacher` takes the place of each teacher that stands
            beside it.
        data_preprocessor: The data preprocessor for teachers that have none; see :class:`FrozenTeacher`.

    Raises:
        ValueError: if ``spec`` is none of these.
        ConfigError: if arguments are wrong, or contradict each other.
    """
    if isinstance(spec, dict) and 'type' in spec:
        raise ValueError(
            f'model.teacher is the config of a {spec["type"]}; write teacher=dict(model=dict(type=...), checkpoint=...)'
        )
    if isinstance(spec, dict) and 'cache' in spec:
        named = teachers_by_name({name: value for name, value in spec.items() if name != 'cache'} or {'': {}})
        if named.keys() != {''}:
            build_teachers(named, data_preprocessor)  # refuses mistakes, and builds no network
            opened: dict[str, Any] = {}
            return {
                name: CachedTeacher(str(spec['cache']), live, f'model.teacher.{name}', 'model.teacher.cache', opened)
                for name, live in named.items()
            }
    members = teachers_by_name(spec)
    for name, member in members.items():
        if name and not isinstance(member, (dict, list, tuple)):
            raise ValueError(
                f'model.teacher needs config, model or cache, or teachers by name, but has {name}={member!r}'
            )
    teachers = {
        name: _build_teacher(member, f'model.teacher.{name}'.rstrip('.'), data_preprocessor)
        for name, member in members.items()
    }
    scale_of_originals(teachers)
    return teachers


def _build_teacher(spec: Spec, key: str, data_preprocessor: dict | None) -> Any:
    if isinstance(spec, (list, tuple)):
        if not spec:
            raise ValueError(f'{key} is an empty list; give at least one teacher')
        live = live_teachers(spec, key)
        ensemble = EnsembleTeacher(
            [_build_teacher(member, f'{key}[{i}]', data_preprocessor) for i, member in enumerate(live)]
        )
        caches = [member.get('cache') for member in spec]
        if caches == [None] * len(spec):
            return ensemble
        if len(set(caches)) > 1:
            folders = ' and '.join(map(str, caches))
            raise ConfigError(
                f'{key}: an ensemble has one cache, of its mean, but the members have {folders}; write the same cache '
                'into each member'
            )
        return CachedTeacher(str(caches[0]), live, key, f'{key}[0].cache')
    if isinstance(spec, dict) and 'cache' in spec:
        live = {name: value for name, value in spec.items() if name != 'cache'}
        if live:
            build_teachers(live, data_preprocessor)  # refuses mistakes, and builds no network
        return CachedTeacher(str(spec['cache']), live, key)
    found = list(call_mistakes(FrozenTeacher, spec, key, given=('data_preprocessor',)))
    if not found and spec.get('model') is not None:
        found = list(mistakes(MODELS, spec['model'], f'{key}.model', nn.Module, 'a segmentor'))
    if found:
        raise ConfigError('\n'.join(found))
    try:
        teacher = FrozenTeacher(**spec, data_preprocessor=data_preprocessor)
    except ValueError as error:
        raise ConfigError(str(error).replace('model.teacher', key, 1)) from None
    teacher.key = key
    return teacher


def scale_of_originals(teachers: dict[str, Any]) -> float | None:
    """The ``scale`` of the teachers with ``pixels='original'``; None if no teacher has it.

    Args:
        teachers: The teachers of :func:`build_teachers`.

    Raises:
        ConfigError: if such teachers have different scales, because one size of the original pixels is kept.
    """
    members = [member for teacher in teachers.values() for member in getattr(teacher, 'members', [teacher])]
    scales = {member.key: member.scale for member in members if getattr(member, 'pixels', None) == ORIGINAL}
    if len(set(scales.values())) > 1:
        raise ConfigError(
            "all teachers with pixels='original' must have one scale, but "
            f'{" and ".join(f"{key}.scale is {scale:g}" for key, scale in scales.items())}'
        )
    return next(iter(scales.values()), None)


def original_parts(data_samples: Sequence[Any], key: str = 'model.teacher') -> list[Tensor]:
    """The original pixels (C, h, w) of data samples.

    Args:
        data_samples: The data samples of :class:`~mmseg_kd.datasets.OriginalPixels`.
        key: The key of the teacher in the config, for messages.

    Raises:
        ValueError: if there are none.
    """
    if not data_samples or not all(ORIGINAL in sample for sample in data_samples):
        raise ValueError(
            f"{key}.pixels is 'original', but the data samples have no original pixels: they come with "
            'train_dataloader of a training, and with with_original_pixels(dataset); use it, or remove pixels'
        )
    return [sample.get(ORIGINAL).data for sample in data_samples]


def log_mean(log_probabilities: Sequence[Tensor]) -> Tensor:
    """Logarithm of the mean of probabilities that are given as logarithms, all of one shape.

    >>> log_mean([torch.tensor([0.2, 0.8]).log(), torch.tensor([0.4, 0.6]).log()]).exp()
    tensor([0.3000, 0.7000])
    """
    return torch.logsumexp(torch.stack(list(log_probabilities)), dim=0) - math.log(len(log_probabilities))


def scaled_size(size: Sequence[int], scale: float) -> tuple[int, int]:
    """Height and width times a scale, in whole pixels.

    >>> scaled_size((512, 1024), 1.5)
    (768, 1536)
    """
    height, width = size
    return round(height * scale), round(width * scale)


def at_scale(images: Tensor, scale: float) -> Tensor:
    """Images (N, C, H, W) enlarged on each side, to the nearest whole numbers of pixels."""
    if scale == 1:
        return images
    return F.interpolate(images, size=scaled_size(images.shape[2:], scale), mode='bilinear', align_corners=False)


def in_precision(dtype: torch.dtype | None, device: str) -> AbstractContextManager:
    """Context in which a network runs in a precision, with its weights in float32; None keeps the current precision.

    Casting the weights instead fails wherever a network creates tensors in float32, and loses more digits.

    Args:
        dtype: The precision: float32, float16 or bfloat16.
        device: The type of the device, such as ``'cuda'``.
    """
    if dtype is None:
        return nullcontext()
    if dtype == torch.float32:
        return torch.autocast(device, enabled=False)
    return torch.autocast(device, dtype=dtype)


def _torch_name(key: str, name: str, known: dict[str, Any]) -> Any:
    value = known.get(str(name).removeprefix('torch.'))
    if value is None:
        raise ValueError(f'model.teacher.{key} must be one of {", ".join(known)}, but is {name!r}')
    return value
