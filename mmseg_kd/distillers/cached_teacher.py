"""Teachers whose outputs were stored before training."""

import importlib
import logging
import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..cache import TeacherCache, check_fingerprint
from ..io.configs import flatten, model_config, named_types, published_weights
from ..io.errors import ConfigError
from ..io.files import file_hash
from .taps import PathError

MAKE = 'tools/cache_teacher.py'
SETTINGS = ('scale', 'pixels', 'dtype', 'class_map', 'classes')


class CachedTeacher:
    """A teacher that answers from a cache (``tools/cache_teacher.py``): its network is not built.

    It has the interface of a :class:`FrozenTeacher`. The cache holds numbered views of the training images, and a
    :class:`~mmseg_kd.datasets.ViewDataset` tells the view of each image. One cache may hold an ensemble or several
    teachers by name; the paths are then those of the terms (``deep.logits``).

    Args:
        cache: Folder of the cache.
        live: The other arguments of the teacher, which the cache must agree with; empty if there are none.
        key: Key of the teacher in the config.
        cache_key: Key of the cache, if it is not ``cache`` of the teacher.
        opened: Caches that are open already, by folder, for several teachers that share one.

    Raises:
        FileNotFoundError: On first use, if there is no complete cache.

    Example:
        >>> CachedTeacher('work_dirs/cache/no_such_cache').check(['logits'])
        Traceback (most recent call last):
        ...
        FileNotFoundError: work_dirs/cache/no_such_cache must hold a teacher cache (index.json), but does not; ...
    """

    members: tuple = ()  # no networks

    def __init__(
        self,
        cache: str,
        live: Any = None,
        key: str = 'model.teacher',
        cache_key: str = '',
        opened: dict[str, TeacherCache] | None = None,
    ) -> None:
        self.folder, self.live, self.key, self.cache_key = cache, live or {}, key, cache_key or f'{key}.cache'
        self._name = key.removeprefix('model.teacher').lstrip('.')
        self._opened: dict[str, TeacherCache] = {} if opened is None else opened

    @property
    def store(self) -> TeacherCache:
        """The cache; its index is read at the first access."""
        if self.folder not in self._opened:
            self._opened[self.folder] = TeacherCache(self.folder)
        return self._opened[self.folder]

    def skeleton(self) -> None:
        """No network; see :meth:`FrozenTeacher.skeleton`."""

    def check(self, paths: Iterable[str]) -> None:
        """Raise PathError for paths that are not stored."""
        for path in paths:
            self._stored(path)

    def shapes(self, paths: Iterable[str]) -> dict[str, Tensor]:
        """Tensors on the meta device with the shapes of stored paths, for one image."""
        return {path: torch.empty(self.store.shapes[self._stored(path)], device='meta') for path in paths}

    def known_classes(self, path: str) -> list[int] | None:
        """See :meth:`FrozenTeacher.known_classes`."""
        return self.store.index['known'].get(self._stored(path))

    @torch.compiler.disable
    def read(
        self,
        inputs: Tensor,
        paths: Iterable[str],
        preprocessor: nn.Module | None = None,
        data_samples: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """See :meth:`FrozenTeacher.read`; only the data samples tell what is read.

        Raises:
            ConfigError: If images have no numbers, another size, or other pixels than those that the teacher saw.
            ValueError: If a file of the cache is damaged; the message names it.
        """
        samples = data_samples or []
        if len(samples) != len(inputs) or not all('view' in sample.metainfo for sample in samples):
            raise ConfigError(
                f'{self.cache_key} needs images with numbers, as a ViewDataset gives them; train_dataloader needs '
                'the sampler InfiniteSampler or DefaultSampler, without batch_sampler and num_batch_per_epoch'
            )
        if list(inputs.shape[2:]) != self.store.index['size']:
            raise ConfigError(
                f'{self.cache_key} holds outputs for images of {_size(self.store.index["size"])} pixels, but the '
                f'student gets {_size(inputs.shape[2:])}; make the cache of this config with {MAKE}'
            )
        stored = {path: self._stored(path) for path in paths}
        entries = [sample.metainfo['view'] for sample in samples]
        pixels = [sample.metainfo.get('pixels') for sample in samples]
        values = self.store.read(list(stored.values()), entries, pixels, inputs.device)
        return {path: values[own] for path, own in stored.items()}

    def check_settings(self, facts: dict[str, Any]) -> None:
        """Refuse the cache of another teacher, other images or other libraries.

        Args:
            facts: Settings of the images by key, and the versions of libraries.

        Raises:
            ConfigError: If a setting differs; the message names its key and both values.
        """
        parts = sorted({key.split('.')[0] + '.' for key in facts})
        if self.live:
            try:
                facts = {**facts, **teacher_facts(self.live, self.key)}
                parts.append(self.key)
            except FileNotFoundError as error:
                print_log(
                    f'{self.cache_key} is used without a comparison with the teacher, because {error}',
                    'current',
                    logging.WARNING,
                )
        check_fingerprint(
            self.store.index['fingerprint'],
            facts,
            parts,
            f'{self.cache_key}: {self.folder}',
            f'restore that setting, or make a cache of this config with {MAKE}',
        )

    def _stored(self, path: str) -> str:
        stored = self.store.shapes
        own = f'{self._name}.{path}'.lstrip('.')
        for name in (own, path):
            if name in stored:
                return name
        raise PathError(
            f'{self.cache_key}: {self.folder} holds {", ".join(map(repr, stored))}, but "{own}" is read; make the '
            f'cache of this config with {MAKE}, or use the teacher itself: remove cache'
        )

    def __deepcopy__(self, memo: dict) -> 'CachedTeacher':
        return self

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_opened': {}}


class PartlyCachedTeacher(CachedTeacher):
    """A :class:`CachedTeacher` with its network, for images that no cache can hold, such as mixtures of two images.

    It reads the cache for images with data samples, and asks the network for images without.

    Args:
        cached: The teacher with the cache.
        network: The same teacher without it, a :class:`FrozenTeacher` or an ensemble.
        stored: Paths that are read in the cache.

    Example:
        >>> from mmseg_kd.distillers.teacher import build_teachers
        >>> from mmseg_kd.testing.toys import toy_segmentor
        >>> network = build_teachers(dict(model=toy_segmentor()))['']
        >>> teacher = PartlyCachedTeacher(CachedTeacher('work_dirs/cache/mgd'), network, stored=['logits'])
        >>> len(teacher.members), len(CachedTeacher('work_dirs/cache/mgd').members)  # networks
        (1, 0)
    """

    def __init__(self, cached: CachedTeacher, network: Any, stored: Sequence[str]) -> None:
        super().__init__(cached.folder, cached.live, cached.key, cached.cache_key, cached._opened)
        self.network, self._stored_paths = network, stored

    members = property(lambda self: self.network.members, doc='See :class:`EnsembleTeacher`.')
    scale = property(lambda self: self.network.scale, doc='See :class:`FrozenTeacher`.')
    stream = property(lambda self: getattr(self.network, 'stream', None), doc='See :class:`FrozenTeacher`.')

    def skeleton(self) -> Any:
        """See :meth:`FrozenTeacher.skeleton`."""
        return self.network.skeleton()

    def check(self, paths: Iterable[str]) -> None:
        """Raise PathError for paths that are read in the cache, but are not stored."""
        super().check(self._stored_paths)
        self.network.check(paths)

    def known_classes(self, path: str) -> list[int] | None:
        """See :meth:`FrozenTeacher.known_classes`."""
        return self.network.known_classes(path)

    def read(
        self,
        inputs: Tensor,
        paths: Iterable[str],
        preprocessor: nn.Module | None = None,
        data_samples: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """See :meth:`CachedTeacher.read`."""
        if data_samples is None:
            return self.network.read(inputs, paths, preprocessor)
        return super().read(inputs, paths, preprocessor, data_samples)


def teacher_facts(spec: Any, key: str) -> dict[str, Any]:
    """The settings of teachers on which their outputs depend, by dotted key.

    A checkpoint is told by its SHA-256, and by its address if it is published.

    Args:
        spec: The specification of one teacher, of an ensemble (a list), or of several by name.
        key: Its key in the config.

    Raises:
        FileNotFoundError: If a config or a checkpoint is missing.

    Example:
        >>> teacher_facts(dict(model=dict(type='EncoderDecoder'), scale=2), 'model.teacher')
        {'model.teacher.model.type': 'EncoderDecoder', 'model.teacher.scale': 2}
    """
    if isinstance(spec, (list, tuple)):
        return {k: v for i, member in enumerate(spec) for k, v in teacher_facts(member, f'{key}[{i}]').items()}
    if not {'config', 'model'} & spec.keys():
        return {k: v for name, one in spec.items() for k, v in teacher_facts(one, f'{key}.{name}').items()}
    config, checkpoint = spec.get('config'), spec.get('checkpoint')
    network = spec['model'] if config is None else model_config(str(config))
    if checkpoint == 'auto':
        checkpoint = published_weights(str(config))
    elif checkpoint is not None and '://' not in checkpoint:
        if not os.path.isfile(checkpoint):
            raise FileNotFoundError(f'there is no checkpoint {checkpoint}')
        checkpoint = f'SHA-256 {file_hash(checkpoint)}'
    settings = dict(model=network, checkpoint=checkpoint, **{name: spec.get(name) for name in SETTINGS})
    # Defaults are left out.
    settings['scale'] = None if settings['scale'] == 1 else settings['scale']
    settings['pixels'] = None if settings['pixels'] == 'student' else settings['pixels']
    return plain_facts(settings, key)


def plain_facts(node: Any, key: str) -> dict[str, Any]:
    """A part of a config by dotted key, with values that JSON can hold.

    Args:
        node: Part of a config.
        key: Its key.

    Example:
        >>> plain_facts(dict(type='RandomCrop', crop_size=(8, 8), scope=None), 'pipeline')
        {'pipeline.type': 'RandomCrop', 'pipeline.crop_size': [8, 8]}
    """
    return {name: _plain(value) for name, value in flatten(_lists(named_types(node)), key).items()}


def library_versions() -> dict[str, str]:
    """Versions of the libraries that make pixels, by key.

    Example:
        >>> sorted(library_versions())
        ['versions.cv2', 'versions.mmcv', 'versions.numpy', 'versions.pillow']
    """
    names = dict(cv2='cv2', mmcv='mmcv', numpy='numpy', pillow='PIL')
    return {f'versions.{key}': importlib.import_module(name).__version__ for key, name in names.items()}


def _lists(node: Any) -> Any:
    """Dicts and lists alone, without scopes."""
    if isinstance(node, dict):
        return {str(key): _lists(value) for key, value in node.items() if key != '_scope_'}
    return [_lists(value) for value in node] if isinstance(node, (list, tuple)) else node


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _size(size: Sequence[int]) -> str:
    return 'x'.join(map(str, size))
