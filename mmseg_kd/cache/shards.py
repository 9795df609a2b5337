"""Files of a teacher cache: shards of tensors, and the index that names them.

A cache is a folder. ``settings.json`` says what it holds, ``index.json`` the same with the number of views and the
SHA-256 of every shard. ``shards/view003-00012.safetensors`` holds images of one view, and ``view003-00012.json``
beside it its SHA-256 and the seconds that it took. The index is written when no shard is missing.
"""

import hashlib
import json
import math
import os
import shutil
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..io.errors import ConfigError
from ..io.files import file_hash, remove_leftovers, write_atomically
from .encodings import encoding

FORMAT = 1
SETTINGS, INDEX, SHARDS, CONSTANTS = 'settings.json', 'index.json', 'shards', 'constants'
PIXELS = 'pixels'  # of every image, the checksum of what the pipeline gave
OPEN = 256  # shards that a process keeps open
MAKE = 'tools/cache_teacher.py'
REMEDY = 'remove it, or choose another folder'


class Shard(NamedTuple):
    """The place of some images of one view.

    Args:
        view: Number of the view.
        number: Number of the shard among those of the view.
        images: Numbers of its images.

    Example:
        >>> Shard(view=3, number=12, images=range(24, 26)).name
        'view003-00012'
    """

    view: int
    number: int
    images: range

    @property
    def name(self) -> str:
        """Name of its files, without suffix."""
        return f'view{self.view:03}-{self.number:05}'


def all_shards(views: int, images: int, per_shard: int) -> Iterator[Shard]:
    """The shards of a cache.

    Args:
        views: Number of views.
        images: Number of images.
        per_shard: Largest number of images in a shard.

    Example:
        >>> [(shard.name, list(shard.images)) for shard in all_shards(views=1, images=3, per_shard=2)]
        [('view000-00000', [0, 1]), ('view000-00001', [2])]
    """
    for view in range(views):
        for number in range(math.ceil(images / per_shard)):
            yield Shard(view, number, range(number * per_shard, min(images, (number + 1) * per_shard)))


class CacheWriter:
    """Write a teacher cache, by one process or several, with interruptions.

    All processes make one with the same settings. Each writes some of :meth:`missing`, and calls :meth:`merge`.

    Args:
        folder: Folder of the cache.
        settings: Content of the cache: the number of ``images``, their ``size`` (H, W), the images ``per_shard``,
            ``encoding`` and ``shape`` of all ``paths``, shapes of ``constants`` by path, ``known`` classes by path, and
            the ``fingerprint``.

    Raises:
        ConfigError: If the folder holds a cache with other settings, or other files.

    Example:
        >>> paths = dict(logits=dict(encoding='float16', shape=[2, 1, 1]))
        >>> settings = dict(images=1, size=[8, 8], per_shard=1, paths=paths, constants={}, known={},
        ...                 fingerprint={})
        >>> writer = CacheWriter('cache', settings)
        >>> (shard,) = writer.missing(views=1)
        >>> parts = encoding('float16', [2, 1, 1]).encode(torch.tensor([[[[1.0]], [[2.0]]]]))
        >>> writer.write(shard, dict(logits=parts), pixels=[7], seconds=0.5)
        >>> writer.merge(views=1)
        0
        >>> TeacherCache('cache').read(['logits'], [(0, 0)], [7])['logits'].flatten().tolist()
        [1.0, 2.0]
    """

    def __init__(self, folder: str | Path, settings: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.settings = dict(json.loads(json.dumps(settings)), format=FORMAT)
        path = self.folder / SETTINGS
        if not path.is_file():
            # Another process may have begun this cache, or one may have been killed before it wrote the settings.
            if _files(self.folder, {SETTINGS, SHARDS}) + _files(self.folder / SHARDS) and not path.is_file():
                raise ConfigError(
                    f'{folder} must be empty or hold a teacher cache, but holds other files; choose another folder'
                )
            (self.folder / SHARDS).mkdir(parents=True, exist_ok=True)
            write_atomically(path, _text(self.settings))
        for place in (self.folder, self.folder / SHARDS):
            remove_leftovers(place)
        before = _read(path)
        for key in ('format', 'images', 'size', 'paths', 'constants', 'known', 'per_shard'):
            if before.get(key) != self.settings[key]:
                raise ConfigError(
                    f'{folder} holds a cache with {key} {before.get(key)}, but this command gives '
                    f'{self.settings[key]}; {REMEDY}'
                )
        check_fingerprint(before.get('fingerprint', {}), self.settings['fingerprint'], [''], str(folder), REMEDY)

    def missing(self, views: int) -> list[Shard]:
        """The shards that are not written yet.

        Args:
            views: Number of views.
        """
        return [shard for shard in self.all(views) if not self._file(shard.name, '.json').is_file()]

    def write(
        self, shard: Shard, maps: dict[str, dict[str, Tensor]], pixels: Sequence[int], seconds: float = 0.0
    ) -> None:
        """Write a shard. It counts only when all of it is on the disk.

        Args:
            shard: Its place.
            maps: Parts of the encoded maps by path, each with one entry per image.
            pixels: Checksums of the images.
            seconds: Time that it took to make.

        Raises:
            OSError: If a file cannot be written, for example on a full disk; no partial file remains.
        """
        tensors = {f'{path}:{part}': value for path, parts in maps.items() for part, value in parts.items()}
        self._write(shard.name, {**tensors, PIXELS: torch.tensor(pixels, dtype=torch.int64)}, seconds)

    def write_constants(self, values: dict[str, Tensor]) -> None:
        """Write parameters of the teacher, which are equal for all images.

        Args:
            values: The parameters by path.
        """
        if values and not self._file(CONSTANTS, '.json').is_file():
            self._write(CONSTANTS, values, 0.0)

    def merge(self, views: int) -> int:
        """Write the index if all shards are there. Repeated calls write the same.

        Args:
            views: Number of views.

        Returns:
            int: Number of missing shards.
        """
        missing = self.missing(views)
        if not missing:
            index = self.folder / INDEX
            # A cache that has more views keeps them.
            views = max(views, _read(index)['views'] if index.is_file() else 0)
            names = [shard.name for shard in self.all(views)]
            if self._file(CONSTANTS, '.json').is_file():
                names.append(CONSTANTS)
            sums = {name: _read(self._file(name, '.json'))['sha256'] for name in names}
            write_atomically(index, _text(dict(self.settings, views=views, shards=sums)))
        return len(missing)

    def all(self, views: int) -> Iterator[Shard]:
        """All shards, written or not.

        Args:
            views: Number of views.
        """
        return all_shards(views, self.settings['images'], self.settings['per_shard'])

    def _file(self, name: str, suffix: str) -> Path:
        return self.folder / SHARDS / f'{name}{suffix}'

    def _write(self, name: str, tensors: dict[str, Tensor], seconds: float) -> None:
        content = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
        write_atomically(self._file(name, '.safetensors'), content)
        facts = dict(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), seconds=round(seconds, 3))
        write_atomically(self._file(name, '.json'), json.dumps(facts))


class TeacherCache:
    """A complete teacher cache, read through memory maps.

    The SHA-256 of a shard is checked when a process first reads from it, which takes about 0.1 s for 64 MB.

    Args:
        folder: Folder of the cache.

    Raises:
        FileNotFoundError: If there is no index; the message says whether the cache was begun.

    Example:
        >>> TeacherCache('no_cache')
        Traceback (most recent call last):
        ...
        FileNotFoundError: no_cache must hold a teacher cache (index.json), but does not; make one: tools/...
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / INDEX
        if not path.is_file():
            begun = (self.folder / SETTINGS).is_file()
            raise FileNotFoundError(
                f'{folder} must hold a teacher cache ({INDEX}), but '
                f'{"it is not complete; repeat the command of" if begun else "does not; make one:"} {MAKE}'
            )
        self.index: dict[str, Any] = _read(path)
        if self.index.get('format') != FORMAT:
            raise ConfigError(f'{path} must have format {FORMAT}, but has {self.index.get("format")}; make it again')
        self._encodings = {
            key: encoding(stored['encoding'], stored['shape']) for key, stored in self.index['paths'].items()
        }
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._verified: set[str] = set()

    @property
    def views(self) -> int:
        """Number of views of each image."""
        return self.index['views']

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of what is stored by path: with the batch (1, ...), and those of parameters as they are."""
        constants = {path: tuple(shape) for path, shape in self.index.get('constants', {}).items()}
        return {**{path: (1, *one.shape) for path, one in self._encodings.items()}, **constants}

    def read(
        self,
        paths: Sequence[str],
        entries: Sequence[tuple[int, int]],
        pixels: Sequence[int | None],
        device: Any = 'cpu',
    ) -> dict[str, Tensor]:
        """The maps of a batch by path, in float32.

        Args:
            paths: Stored paths.
            entries: Number of the image and number of the view, for each image of the batch.
            pixels: Checksums of the images; None where it is unknown.
            device: Device of the maps.

        Raises:
            ConfigError: If a view or an image is not stored, or has other pixels.
            ValueError: If a shard is not as it was written; the message names it.
        """
        found: dict[str, dict[str, list[Tensor]]] = {path: {} for path in paths if path in self._encodings}
        for (image, view), own in zip(entries, pixels):
            if not (0 <= image < self.index['images'] and 0 <= view < self.views):
                raise ConfigError(
                    f'{self.folder} holds {self.views} views of {self.index["images"]} images, but view {view} of '
                    f'image {image} is read; make the cache of this config with {MAKE}, or set '
                    'train_dataloader.dataset.views to at most that number'
                )
            number, row = divmod(image, self.index['per_shard'])
            shard = self._shard(Shard(view, number, range(0)).name)
            stored = int(shard.get_slice(PIXELS)[row : row + 1][0])
            if own is not None and own != stored:
                raise ConfigError(
                    f'{self.folder}: the pixels of view {view} of image {image} differ from those that the teacher saw '
                    f'(checksum {stored}, now {own}); an image file, a library, or a transform with a random '
                    f'generator of its own has changed them; make the cache again with {MAKE}'
                )
            for path, parts in found.items():
                for key in self._parts(shard, path):
                    parts.setdefault(key, []).append(shard.get_slice(f'{path}:{key}')[row : row + 1])
        with torch.autocast(torch.device(device).type, enabled=False):  # it refuses to concatenate halves on CPUs
            values = {
                path: self._encodings[path].decode({key: torch.cat(rows).to(device) for key, rows in parts.items()})
                for path, parts in found.items()
            }
        for path in paths:
            if path not in values:
                values[path] = self._shard(CONSTANTS).get_tensor(path).to(device)
        return values

    @staticmethod
    def _parts(shard: Any, path: str) -> list[str]:
        start = f'{path}:'
        return [key.removeprefix(start) for key in shard.keys() if key.startswith(start)]

    def _shard(self, name: str) -> Any:
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        path = self.folder / SHARDS / f'{name}.safetensors'
        if name not in self._verified:
            self._verify(path, name)
        try:
            self._open[name] = safe_open(path, framework='pt')
        except SafetensorError as error:
            raise ValueError(
                f'{path} is no safetensors file ({error}); remove it and {name}.json, and repeat {MAKE}'
            ) from None
        if len(self._open) > OPEN:
            self._open.popitem(last=False)
        return self._open[name]

    def _verify(self, path: Path, name: str) -> None:
        try:
            found = file_hash(path)
        except FileNotFoundError:
            found = 'nothing'
        if found != self.index['shards'].get(name):
            raise ValueError(
                f'{path} is not the shard that was written (SHA-256 {self.index["shards"].get(name)}, found {found}); '
                f'remove it and {name}.json, and repeat {MAKE}, which makes this shard again'
            )
        self._verified.add(name)


class CacheCost(NamedTuple):
    """What a cache took.

    Args:
        bytes: Bytes of its shards.
        seconds: Seconds that all processes together needed to make it.

    Example:
        >>> CacheCost(bytes=1000, seconds=2.5).seconds
        2.5
    """

    bytes: int
    seconds: float


def cache_cost(folder: str | Path) -> CacheCost:
    """The size of a cache and the time that it took to make.

    Args:
        folder: Folder of the cache.

    Example:
        >>> cache_cost('.')
        CacheCost(bytes=0, seconds=0)
    """
    facts = [_read(path) for path in sorted((Path(folder) / SHARDS).glob('*.json'))]
    return CacheCost(sum(each['bytes'] for each in facts), sum(each['seconds'] for each in facts))


def check_fingerprint(
    stored: dict[str, Any], now: dict[str, Any], parts: Sequence[str], folder: str, remedy: str
) -> None:
    """Raise ConfigError if a cache is not of these settings; the message names a key that differs, with both values.

    Args:
        stored: Settings of the cache by their dotted key.
        now: Those of the config.
        parts: Beginnings of the keys that are compared.
        folder: Folder of the cache, for the message.
        remedy: What to change, for the message.

    Raises:
        ConfigError: If they differ.

    Example:
        >>> stored, now = {'versions.numpy': '2.4', 'seed': 0}, {'versions.numpy': '2.5'}
        >>> check_fingerprint(stored, now, ['versions'], 'cache', 'make it again')
        Traceback (most recent call last):
        ...
        mmseg_kd.io.errors.ConfigError: cache was made with versions.numpy = 2.4, but this config has 2.5; make it again
    """
    now = json.loads(json.dumps(now))
    for key in sorted({*stored, *now}):
        if key.startswith(tuple(parts)) and stored.get(key) != now.get(key):
            first, second = (_told(values.get(key)) for values in (stored, now))
            raise ConfigError(f'{folder} was made with {key} = {first}, but this config has {second}; {remedy}')


def free_bytes(folder: str | Path) -> int:
    """Free bytes of the disk on which a folder is, or will be.

    Args:
        folder: Path of the folder.

    Example:
        >>> free_bytes('not/yet/there') > 0
        True
    """
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _told(value: Any) -> str:
    return 'nothing' if value is None else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ConfigError(
            f'{path} must hold JSON, as {MAKE} writes it, but cannot be read ({error}); remove it'
        ) from None
    if not isinstance(content, dict):
        raise ConfigError(
            f'{path} must hold a dict, as {MAKE} writes it, but holds a {type(content).__name__}; remove it'
        )
    return content


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True)


def _files(folder: Path, besides: Collection[str] = ()) -> list[str]:
    """Names in a folder, without temporary files."""
    names = os.listdir(folder) if folder.is_dir() else []
    return [name for name in names if not name.startswith('.') and name not in besides]
