"""Unpickling that builds tensors and what MMEngine's checkpoints hold, and runs nothing else."""

import argparse
import codecs
import functools
import os
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging.history_buffer import HistoryBuffer
from torch import _weights_only_unpickler

from .checkpoint_contents import MalformedError, read_contents
from .trust import REMEDY, trusted

try:
    from numpy._core import multiarray
except ImportError:  # numpy below 1.26
    from numpy.core import multiarray  # type: ignore[no-redef]  # numpy has moved it


class UnsafeFileError(ValueError):
    """The file could run code, or take far more memory than its size."""


def _history_method(owner: Any, name: str) -> Any:
    """A restricted ``getattr``: MMEngine's checkpoints refer to the methods of its history buffer through it."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise pickle.UnpicklingError(f'GLOBAL getattr({owner!r}, {name!r}) is refused')
    return getattr(owner, name)


_history_method.__module__, _history_method.__qualname__, _history_method.__name__ = 'builtins', 'getattr', 'getattr'


def _known_as(function: Callable, module: str) -> Callable:
    """A function under another module path. Pickles name functions by path, and NumPy 2 moved its functions."""

    @functools.wraps(function, assigned=())
    def known(*args: Any) -> Any:
        return function(*args)

    known.__module__, known.__qualname__, known.__name__ = module, function.__name__, function.__name__
    return known


# MMEngine's checkpoints also hold the log's history buffers, NumPy arrays and scalars. Research code often adds its
# command line (argparse.Namespace).
SAFE_CLASSES = [
    _history_method,
    HistoryBuffer,
    ConfigDict,
    argparse.Namespace,
    np.ndarray,
    np.dtype,
    *(
        _known_as(function, f'numpy.{package}.multiarray')
        for function in (multiarray._reconstruct, multiarray.scalar)
        for package in ('core', '_core')
    ),
    slice,
    *{
        type(np.dtype(code))
        for code in ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', '?', 'U', 'S')
    },
]


# The types of the standard library lack what only the implementation in Python has.
_Unpickler: Any = pickle._Unpickler


class _RestrictedUnpickler(_Unpickler):
    """Calls only what it is allowed to. The implementation in Python is the one whose steps can be restricted."""

    dispatch = dict(_Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        module = 'builtins' if module == '__builtin__' else module  # its name in pickles of Python 2's protocols
        found = _allowed().get(f'{module}.{name}')
        if found is None:
            raise pickle.UnpicklingError(f'GLOBAL {module}.{name} is refused')
        return found

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError(f'GLOBAL extension {code} is refused')

    def load_reduce(self) -> None:
        self._check_callable(self.stack[-2])
        super().load_reduce()

    def load_newobj(self) -> None:
        self._check_callable(self.stack[-2])
        super().load_newobj()

    def load_newobj_ex(self) -> None:
        self._check_callable(self.stack[-3])
        super().load_newobj_ex()

    def load_build(self) -> None:
        # The state of a class would replace its methods.
        if callable(self.stack[-2]):
            raise pickle.UnpicklingError(f'GLOBAL {self.stack[-2]!r} is changed, which is refused')
        super().load_build()

    def _check_callable(self, function: Any) -> None:
        if not any(function is allowed for allowed in _allowed().values()):
            raise pickle.UnpicklingError(f'GLOBAL {function!r} is called, which is refused')

    dispatch.update(
        {
            pickle.REDUCE[0]: load_reduce,
            pickle.NEWOBJ[0]: load_newobj,
            pickle.NEWOBJ_EX[0]: load_newobj_ex,
            pickle.BUILD[0]: load_build,
        }
    )


@functools.cache
def _own() -> dict[str, Any]:
    known = {f'{each.__module__}.{each.__qualname__}': each for each in SAFE_CLASSES}
    known['_codecs.encode'] = codecs.encode
    return known


@functools.cache
def _of_torch() -> dict[str, Any]:
    return dict(_weights_only_unpickler._get_allowed_globals())


def _allowed() -> dict[str, Any]:
    get = getattr(torch.serialization, 'get_safe_globals', list)  # what users of torch 2.5 and later have allowed
    names: dict[str, Any] = {}
    for entry in get():
        value, name = entry if isinstance(entry, tuple) else (entry, '')
        names[name or f'{value.__module__}.{value.__qualname__}'] = value
    return {**names, **_of_torch(), **_own()}


def allow_safe_classes() -> None:
    """Let ``torch.load`` read what MMEngine saves; from torch 2.4 on, with ``weights_only=True``."""
    if hasattr(torch.serialization, 'add_safe_globals'):
        torch.serialization.add_safe_globals(SAFE_CLASSES)


def check_file(path: str | os.PathLike) -> None:
    """Check what a file of ``torch.save`` declares, without building any of it; nothing if files are trusted.

    Args:
        path: Path of a local file.

    Raises:
        MalformedError: If ``torch.save`` does not write such files.
        UnsafeFileError: If the file could run code, or if its content would take far more memory than its size.
    """
    if trusted():
        return
    contents = read_contents(path)
    refused = sorted(contents.names - _allowed().keys())
    if refused:
        raise UnsafeFileError(
            f'holds objects that could run code, so it was not loaded: it wants {", ".join(refused[:5])}; {REMEDY}'
        )
    if contents.bomb:
        raise UnsafeFileError(
            f'has {_size(contents.stored)}, but its content would take {_size(contents.claimed)} of memory, so it was '
            f'not loaded; {REMEDY}'
        )


def load_file(path: str | os.PathLike, map_location: Any = 'cpu') -> Any:
    """Load a file of ``torch.save``, without running code from it unless files are trusted.

    Args:
        path: Path of a local file.
        map_location: As for ``torch.load``.

    Raises:
        MalformedError: If ``torch.save`` does not write such files.
        UnsafeFileError: If the file could run code, or if its content would take far more memory than its size.

    Example:
        >>> torch.save([torch.ones(2)], 'ones.pth')
        >>> load_file('ones.pth')
        [tensor([1., 1.])]
    """
    if trusted():
        return torch.load(path, map_location=map_location, weights_only=False)
    check_file(path)
    # Repeated at every read: the maintained MMEngine fork removes some of these from the list after each load.
    allow_safe_classes()
    try:
        if hasattr(torch.serialization, 'add_safe_globals'):
            return torch.load(path, map_location=map_location, weights_only=True)
        # Below 2.4, weights_only=True refuses even the numbers in MMEngine's log.
        reader = SimpleNamespace(__name__='pickle', Unpickler=_RestrictedUnpickler, load=_load)
        return torch.load(path, map_location=map_location, pickle_module=reader, weights_only=False)
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if 'GLOBAL' in line or 'global' in line), '')
        if reason:
            raise UnsafeFileError(
                f'holds objects that could run code, so it was not loaded: {reason}; {REMEDY}'
            ) from None
        raise


def load_pickle(file: BinaryIO) -> Any:
    """Load a pickle that holds data: numbers, text, containers, NumPy arrays; any pickle if files are trusted.

    Args:
        file: Open file.

    Raises:
        UnsafeFileError: If the pickle could run code.

    Example:
        >>> import io
        >>> load_pickle(io.BytesIO(pickle.dumps([1, 2])))
        [1, 2]
    """
    if trusted():
        return pickle.load(file)
    try:
        return _RestrictedUnpickler(file).load()
    except pickle.UnpicklingError as error:
        name = getattr(file, 'name', 'the pickle file')
        raise UnsafeFileError(f'{name} holds objects that could run code ({error}); {REMEDY}') from None


def _load(*args: Any, **kwargs: Any) -> Any:
    return _RestrictedUnpickler(*args, **kwargs).load()


def _size(count: int) -> str:
    return f'{count / 2**30:.1f} GiB' if count >= 2**30 else f'{count / 2**20:.1f} MiB'


# Without this, upstream's MMEngine cannot resume from its own checkpoints with torch 2.6 and later.
allow_safe_classes()

__all__ = [
    'SAFE_CLASSES',
    'MalformedError',
    'UnsafeFileError',
    'allow_safe_classes',
    'check_file',
    'load_file',
    'load_pickle',
]
