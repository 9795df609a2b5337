"""What a file of ``torch.save`` declares: names of code and sizes of tensors, found without building any of them."""

import _compat_pickle
import math
import os
import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import torch

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # first pickle of a file that torch before version 1.6 wrote
# torch.save never compresses. Files that were packed again take a few times their size.
LARGEST_RATIO, SMALL = 10, 16 * 2**20
VIEWS = {f'torch._utils._rebuild_{name}' for name in ('tensor', 'tensor_v2', 'tensor_v3', 'qtensor')}
ITEM_SIZES = dict(
    dict.fromkeys(('ComplexDouble',), 16),
    **dict.fromkeys(('Double', 'Long', 'ComplexFloat'), 8),
    **dict.fromkeys(('Float', 'Int', 'QInt32'), 4),
    **dict.fromkeys(('Half', 'BFloat16', 'Short'), 2),
)


class MalformedError(ValueError):
    """The file is not one that ``torch.save`` writes."""


@dataclass
class Contents:
    """What a file declares.

    Args:
        names: Classes and functions that it names, such as ``os.system``.
        stored: Size of the file in bytes.
        claimed: Bytes of memory that its content would take.

    Example:
        >>> Contents({'os.system'}, stored=10**6, claimed=10**13).bomb
        True
    """

    names: set[str] = field(default_factory=set)
    stored: int = 0
    claimed: int = 0

    @property
    def bomb(self) -> bool:
        """Whether the content would take far more memory than a file of this size holds."""
        return self.claimed > max(LARGEST_RATIO * self.stored, SMALL)


def read_contents(path: str | os.PathLike) -> Contents:
    """Read what a file of ``torch.save`` declares. Nothing that the file names is imported, built or called.

    Args:
        path: Path of a local file.

    Raises:
        MalformedError: If ``torch.save`` does not write such files: incomplete ones, TorchScript, tar.
        OSError: If the file cannot be read.

    Example:
        >>> torch.save(dict(weight=torch.ones(2)), 'weights.pth')
        >>> sorted(read_contents('weights.pth').names)
        ['collections.OrderedDict', 'torch.FloatStorage', 'torch._utils._rebuild_tensor_v2']
    """
    contents = Contents(stored=os.path.getsize(path))
    with open(path, 'rb') as file:
        try:
            if file.read(4) == b'PK\x03\x04':
                _read_zip(file, contents)
            else:
                file.seek(0)
                _read_pickles(file, contents)
        except (MalformedError, OSError):
            raise
        # A made-up pickle may raise anything.
        except Exception as error:
            if contents.names:
                return contents  # what it names may be all that a user has to know
            raise MalformedError(' '.join(str(error).split()) or type(error).__name__) from None
    return contents


class _Placeholder:
    """Takes the place of everything that a pickle names."""

    path = ''
    scanner: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> '_Placeholder':
        cls.scanner.called(cls.path, args)
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any) -> '_Placeholder':
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    add = append
    extend = append


class _Storage:
    def __init__(self, name: str, key: str, count: int) -> None:
        if not isinstance(count, int) or count < 0:
            raise MalformedError(f'a storage has {count!r} items')
        self.key, self.count, self.item = key, count, ITEM_SIZES.get(name.removesuffix('Storage'), 1)
        self.bytes = count * self.item


# The implementation in Python keeps its memo in a dict. That in C takes memory for the largest index that a file names.
class _Scanner(pickle._Unpickler):
    def __init__(self, file: BinaryIO, contents: Contents) -> None:
        super().__init__(file, encoding='latin1')
        self.contents, self.storages = contents, {}  # type: ignore[var-annotated]

    def find_class(self, module: str, name: str) -> Any:
        module, name = _compat_pickle.NAME_MAPPING.get(
            (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
        )
        path = f'{module}.{name}'
        self.contents.names.add(path)
        return type('Placeholder', (_Placeholder,), dict(path=path, scanner=self))

    def get_extension(self, code: int) -> None:
        raise MalformedError(f'it names an extension ({code}) of pickle')

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] not in ('storage', b'storage'):
            raise MalformedError('it refers to an object outside of the file')
        storage = _Storage(str(getattr(pid[1], 'path', '')).rpartition('.')[2], str(pid[2]), pid[4])
        self.storages.setdefault(storage.key, storage)
        return storage

    def called(self, path: str, args: Sequence[Any]) -> None:
        """Add the memory that a call would take."""
        if path in VIEWS and args and isinstance(args[0], _Storage):
            self._check_view(*args)
        elif path.endswith('multiarray._reconstruct') and len(args) > 1 and isinstance(args[1], tuple):
            self.contents.claimed += 8 * math.prod(args[1])
        elif path == 'builtins.bytearray' or (path.startswith('torch.') and path.endswith(('Tensor', 'Storage'))):
            numbers = [abs(value) for value in args if isinstance(value, int)]
            self.contents.claimed += 8 * math.prod(numbers) if numbers else 0

    def _check_view(self, storage: _Storage, offset: int, size: tuple, stride: tuple, *rest: Any) -> None:
        kind = next((value.path for value in rest if str(getattr(value, 'path', '')).startswith('torch.')), '')
        dtype = getattr(torch, kind.rpartition('.')[2], None)
        item = dtype.itemsize if isinstance(dtype, torch.dtype) else storage.item
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise MalformedError(f'a tensor has shape {size!r} and stride {stride!r}')
        count = math.prod(size)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride)) if count else -1
        if (last + 1) * item > storage.bytes:
            raise MalformedError(f'a tensor of shape {size} needs more items than its storage of {storage.count} has')
        self.contents.claimed += count * item


def _read_zip(file: BinaryIO, contents: Contents) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if len({name.lower() for name in members}) != len(archive.infolist()):
            raise MalformedError('it holds two members of one name')
        # Torch finds everything below the folder of the first member.
        root = next(iter(members)).partition('/')[0]
        if f'{root}/constants.pkl' in members or f'{root}/data.pkl' not in members:
            raise MalformedError(f'it holds no {root}/data.pkl')
        contents.claimed = sum(member.file_size for member in members.values())
        if contents.bomb:
            return
        with archive.open(f'{root}/data.pkl') as content:
            scanner = _Scanner(content, contents)  # type: ignore[arg-type]
            # Unpacked members and tensors are the same memory.
            unpacked, contents.claimed = contents.claimed, 0
            scanner.load()
        contents.claimed = max(contents.claimed, unpacked)
        for key, storage in scanner.storages.items():
            member = members.get(f'{root}/data/{key}')
            if member is None or member.file_size < storage.bytes:
                held = 'is missing' if member is None else f'holds {member.file_size} bytes'
                raise MalformedError(f'a storage of {storage.bytes} bytes {held}')


def _read_pickles(file: BinaryIO, contents: Contents) -> None:
    if _Scanner(file, contents).load() != MAGIC_NUMBER:
        if contents.names:
            return
        raise MalformedError('it does not begin as a file of torch.save')
    # Version of the format, sizes of numbers on the machine that wrote it, content, order of the storages.
    scanners = [_Scanner(file, contents) for _ in range(4)]
    for scanner in scanners:
        scanner.load()
    held = contents.stored - file.tell()
    # Each storage begins with its number of items.
    needed = sum(8 + storage.bytes for storage in scanners[2].storages.values())
    if needed > held:
        raise MalformedError(f'its tensors need {needed} bytes, but only {held} are there')
