"""Read checkpoints without running code from them, and load them whole or not at all."""

import argparse
import functools
import os
import pickle
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dist import barrier, is_main_process
from mmengine.fileio import get_local_path
from mmengine.logging.history_buffer import HistoryBuffer
from torch import Tensor, nn

from .checkpoint_kinds import kind_of_file, kind_of_weights


def _history_method(owner: Any, name: str) -> Any:
    """Stands in for ``getattr``, by which MMEngine's checkpoints name the methods of its history buffer."""
    if owner is not HistoryBuffer:
        raise pickle.UnpicklingError(f'GLOBAL getattr of {owner!r} is refused')
    return getattr(owner, name)


_history_method.__module__, _history_method.__qualname__, _history_method.__name__ = 'builtins', 'getattr', 'getattr'


def _known_as(function: Callable, module: str) -> Callable:
    """A function under another address: pickles name functions by address, and numpy moved its own in version 2."""

    @functools.wraps(function, assigned=())
    def known(*args: Any) -> Any:
        return function(*args)

    known.__module__, known.__qualname__, known.__name__ = module, function.__name__, function.__name__
    return known


# What MMEngine writes into its own checkpoints beside tensors: the log's history buffers, numpy arrays and scalars; and
# the command line that research code likes to add.
_MULTIARRAY = (getattr(np, '_core', None) or np.core).multiarray
SAFE_CLASSES = [
    _history_method,
    HistoryBuffer,
    ConfigDict,
    argparse.Namespace,
    np.ndarray,
    np.dtype,
    *(
        _known_as(function, f'numpy.{package}.multiarray')
        for function in (_MULTIARRAY._reconstruct, _MULTIARRAY.scalar)
        for package in ('core', '_core')
    ),
    *{
        type(np.dtype(code))
        for code in ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', '?', 'U', 'S')
    },
]


# From torch 2.6 on, upstream's MMEngine could not even resume from its own checkpoints otherwise.
torch.serialization.add_safe_globals(SAFE_CLASSES)


class CheckpointError(ValueError):
    """A checkpoint that is missing, unsafe, corrupt, or of another network."""


def read_checkpoint(path: str) -> dict:
    """Read a checkpoint onto the CPU; nothing in it is executed.

    Args:
        path: a local file, an ``http(s)`` address (downloaded once, into torch's hub folder), or anything that
            MMEngine's file backends read.

    Raises:
        CheckpointError: if there is no such file, it is no checkpoint, or it holds objects that could run code.
    """
    local = _download(path) if urlparse(path).scheme in ('http', 'https') else path
    if '://' not in local and not os.path.isfile(local):
        raise CheckpointError(f'no such checkpoint: {local}')
    # Again at every reading: the continuation's MMEngine allows some of these while it loads, and then forbids them.
    torch.serialization.add_safe_globals(SAFE_CLASSES)
    try:
        with get_local_path(local) as file:
            checkpoint = torch.load(file, map_location='cpu', weights_only=True)
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if 'GLOBAL' in line or 'global' in line), '')
        if reason:
            raise CheckpointError(
                f'{path} holds objects that could run code when loaded, so it was not: {reason}; save '
                'its state_dict alone'
            ) from None
        raise CheckpointError(
            f'{path} is no readable checkpoint: {kind_of_file(local) or _first_line(error)}'
        ) from None
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{path} must hold a dict, but holds a {type(checkpoint).__name__}')
    return checkpoint


def student_weights(checkpoint: dict) -> dict[str, Tensor]:
    """The student's weights in a distiller's checkpoint, named as in a plain segmentor; empty if there are none."""
    weights = {_WRAPPERS.sub('', key): value for key, value in checkpoint.get('state_dict', checkpoint).items()}
    return {key.removeprefix('student.'): value for key, value in weights.items() if key.startswith('student.')}


def named_weights(checkpoint: dict, model: nn.Module, path: str) -> dict[str, Tensor]:
    """The weights of a checkpoint, under the names that they have in a model.

    They are looked for under every prefix and in every dict of the file: a plain segmentor's weights, those of a
    distiller (``student.``), those that a wrapper, a framework or another toolbox saved (``module.``, ``model.``,
    ``_orig_mod.``). The prefix that fits most names counts; a student goes before a teacher, and ``state_dict``, in
    which MMEngine saves the averaged weights if there are any, before other dicts.

    Args:
        checkpoint: as :func:`read_checkpoint` returns it, or a bare ``state_dict``.
        model: a segmentor, or a distiller. Weights of a plain segmentor become those of the distiller's student.
        path: name of the file, for errors.

    Raises:
        CheckpointError: if nothing fits the model, or several networks fit it equally well.
    """
    tensors = _tensors(checkpoint)
    for network, targets in ((model, ('',)), (getattr(model, 'student', None), getattr(model, 'plain_prefixes', ()))):
        prefix = _prefix(tensors, _names(network), path) if isinstance(network, nn.Module) else None
        if prefix is not None:
            return OrderedDict(
                (target + key.removeprefix(prefix), value)
                for target in targets
                for key, value in tensors.items()
                if key.startswith(prefix)
            )
    raise CheckpointError(
        f'{path} holds nothing that fits {type(model).__name__}: {kind_of_weights(tensors, _names(model))}'
    )


def load_weights(model: nn.Module, path: str) -> None:
    """Load a checkpoint into a segmentor; every weight must fit, as of :func:`fit_weights`.

    Raises:
        CheckpointError: if it cannot be read, or does not fit. The model is then not to be used.
    """
    fit_weights(model, named_weights(read_checkpoint(path), model, path), path)


def fit_weights(model: nn.Module, weights: dict[str, Tensor], path: str) -> None:
    """Load weights into a segmentor, or into the student of a distiller; every weight must fit.

    What fits is decided after the network's own load hooks, which may rename or resize weights (the relative position
    tables of Swin, say). Only what inference never uses, or what the network computes itself, may differ: auxiliary
    heads, BatchNorm's step counters, tables of indices, and buffers that a load hook drops.

    Args:
        model: a segmentor or a distiller.
        weights: as of :func:`named_weights`.
        path: name of the file, for errors.

    Raises:
        CheckpointError: if keys are missing or unexpected, or shapes differ. The model is then not to be used.
    """
    if hasattr(model, 'plain_prefixes'):
        model, weights = model.student, student_weights(weights)
    missing, unexpected, shapes = _load(model, weights, path)
    computed = {name for name, buffer in model.named_buffers() if name in weights or not buffer.is_floating_point()}
    missing = [key for key in missing if key not in computed]
    missing, unexpected, shapes = (
        sorted(k for k in keys if not _is_spare(k)) for keys in (missing, unexpected, shapes)
    )
    if missing or unexpected or shapes:
        raise CheckpointError(
            f'{path} does not fit {type(model).__name__}: {len(missing)} keys missing, {len(unexpected)} unexpected, '
            f'{len(shapes)} of another shape (such as {(missing + unexpected + shapes)[0]}); '
            f'{kind_of_weights(weights, _names(model))}'
        )


def all_weights(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and saved buffers by name, those included that a network leaves out of its ``state_dict``."""
    buffers = (
        (f'{path}.{name}'.lstrip('.'), buffer)
        for path, module in model.named_modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and name not in module._non_persistent_buffers_set
    )
    return dict((*model.named_parameters(), *buffers))


def _load(model: nn.Module, weights: dict[str, Tensor], path: str) -> tuple[list[str], list[str], list[str]]:
    """Keys that are missing, unexpected and of another shape, as PyTorch finds them behind all load hooks."""
    found: list[list[str]] = [[], []]
    # PyTorch forgets which keys are missing when it raises because of a shape; this hook runs before.
    handle = model.register_load_state_dict_post_hook(lambda _, keys: found.__setitem__(slice(None), keys))
    try:
        model.load_state_dict(weights, strict=False)
        return found[0], found[1], []
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        mismatches = [re.match(r'size mismatch for (\S+):', line) for line in lines[1:]]
        if not mismatches or not all(mismatches):
            raise CheckpointError(
                f'{path} cannot be loaded into {type(model).__name__}: {" ".join([type(error).__name__, *lines[:2]])}'
            ) from error
        return found[0], found[1], [match[1] for match in mismatches]
    finally:
        handle.remove()


def _is_spare(key: str) -> bool:
    return key.startswith(('auxiliary_head', 'data_preprocessor')) or key.endswith('num_batches_tracked')


# What torch.compile, FSDP and activation checkpointing put into names.
_WRAPPERS = re.compile(r'^(?:module\.)+|\b(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.')


def _tensors(node: dict, prefix: str = '') -> dict[str, Tensor]:
    """The tensors of a checkpoint by name; those of dicts in it after the name of the dict."""
    found = {
        f'{prefix}{_WRAPPERS.sub("", key)}': value
        for key, value in node.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if not found:
        for key, value in node.items():
            if isinstance(key, str) and isinstance(value, dict):
                found.update(_tensors(value, f'{prefix}{key}.'))
    return found


def _names(model: nn.Module) -> set[str]:
    return {*model.state_dict(), *all_weights(model)}


def _prefix(tensors: dict[str, Tensor], names: set[str], path: str) -> str | None:
    """What stands before the names of a network in a file; None if nothing fits."""
    fitting = Counter(
        key[:start]
        for key in tensors
        for start in (0, *(dot.end() for dot in re.finditer(r'\.', key)))
        if key[start:] in names
    )
    best = [prefix for prefix, count in fitting.items() if count == max(fitting.values())]
    for prefer in (
        lambda p: p.startswith('state_dict.'),
        lambda p: p.endswith('student.'),
        lambda p: not re.search('teacher|ema', p),
    ):
        best = [prefix for prefix in best if prefer(prefix)] or best
    if len(best) > 1:
        raise CheckpointError(
            f'{path} holds several networks that fit: {", ".join(sorted(best))}; save the state_dict of one of them'
        )
    return best[0] if best else None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # PyTorch puts its advice to load without safety first.
    return next((line for line in lines if line.startswith('WeightsUnpickler error')), lines[0])


def _download(url: str) -> str:
    """Download once per machine folder, by one process; the file appears under its name only when complete."""
    target = Path(torch.hub.get_dir(), 'checkpoints', os.path.basename(urlparse(url).path))
    if is_main_process() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(target))
        except OSError as error:
            raise CheckpointError(f'cannot download {url}: {error}') from None
    barrier()
    return str(target)
