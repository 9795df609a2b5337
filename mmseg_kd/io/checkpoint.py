"""Read checkpoints without running code from them, and load them whole or not at all."""
import os
import pickle
import re
from pathlib import Path
from typing import Any, Dict, List, Tuple
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dist import barrier, is_main_process
from mmengine.fileio import get_local_path
from mmengine.logging.history_buffer import HistoryBuffer
from torch import Tensor, nn


def _history_method(owner: Any, name: str) -> Any:
    """Stands in for ``getattr``, by which MMEngine's checkpoints name the methods of its history buffer."""
    if owner is not HistoryBuffer:
        raise pickle.UnpicklingError(f'GLOBAL getattr of {owner!r} is refused')
    return getattr(owner, name)


_history_method.__module__, _history_method.__qualname__, _history_method.__name__ = 'builtins', 'getattr', 'getattr'

# What MMEngine writes into its own checkpoints beside tensors: the log's history buffers, numpy arrays and scalars.
_MULTIARRAY = getattr(np, '_core', None) or np.core
SAFE_CLASSES = [
    _history_method, HistoryBuffer, ConfigDict, np.ndarray, np.dtype, _MULTIARRAY.multiarray._reconstruct,
    _MULTIARRAY.multiarray.scalar, *{type(np.dtype(code)) for code in ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2',
                                                                       'u4', 'u8', '?')}
]


# From torch 2.6 on, upstream's MMEngine could not even resume from its own checkpoints otherwise.
torch.serialization.add_safe_globals(SAFE_CLASSES)


class CheckpointError(ValueError):
    """A checkpoint that is missing, unsafe, corrupt, or of another network."""


def read_checkpoint(path: str) -> dict:
    """Read a checkpoint onto the CPU; nothing in it is executed.

    Args:
        path: a local file, an ``http(s)`` address (downloaded once, into torch's hub folder), or anything that MMEngine's
            file backends read.

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
            raise CheckpointError(f'{path} holds objects that could run code when loaded, so it was not: {reason}; save '
                                  'its state_dict alone') from None
        raise CheckpointError(f'{path} is no readable checkpoint: '
                              f'{(str(error).splitlines() or [type(error).__name__])[0]}') from None
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{path} must hold a dict, but holds a {type(checkpoint).__name__}')
    return checkpoint


def segmentor_weights(checkpoint: dict) -> Dict[str, Tensor]:
    """The weights of a plain segmentor in a checkpoint of it, or of a distiller that trained it as student."""
    weights = checkpoint.get('state_dict', checkpoint)
    weights = {key.removeprefix('module.'): value for key, value in weights.items()}
    if any(key.startswith('student.') for key in weights):
        weights = {key.removeprefix('student.'): value for key, value in weights.items() if key.startswith('student.')}
    return weights


def load_weights(model: nn.Module, path: str) -> None:
    """Load a checkpoint into a segmentor; every weight must fit.

    What fits is decided after the network's own load hooks, which may rename or resize weights (the relative position
    tables of Swin, say). Only what inference never uses, or what the network computes itself, may differ: auxiliary heads,
    BatchNorm's step counters, tables of indices, and buffers that a load hook drops.

    Raises:
        CheckpointError: if keys are missing or unexpected, or shapes differ. The model is then not to be used.
    """
    weights = {k: v for k, v in segmentor_weights(read_checkpoint(path)).items() if isinstance(v, Tensor)}
    missing, unexpected, shapes = _load(model, weights, path)
    computed = {name for name, buffer in model.named_buffers() if name in weights or not buffer.is_floating_point()}
    missing = [key for key in missing if key not in computed]
    missing, unexpected, shapes = (sorted(k for k in keys if not _is_spare(k)) for keys in (missing, unexpected, shapes))
    if missing or unexpected or shapes:
        raise CheckpointError(
            f'{path} does not fit {type(model).__name__}: {len(missing)} keys missing, {len(unexpected)} unexpected, '
            f'{len(shapes)} of another shape (such as {(missing + unexpected + shapes)[0]}); give the config that it was '
            'trained with')


def _load(model: nn.Module, weights: Dict[str, Tensor], path: str) -> Tuple[List[str], List[str], List[str]]:
    """Keys that are missing, unexpected and of another shape, as PyTorch finds them behind all load hooks."""
    found: List[List[str]] = [[], []]
    # PyTorch forgets which keys are missing when it raises because of a shape; this hook runs before.
    handle = model.register_load_state_dict_post_hook(lambda _, keys: found.__setitem__(slice(None), keys))
    try:
        model.load_state_dict(weights, strict=False)
        return found[0], found[1], []
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        mismatches = [re.match(r'size mismatch for (\S+):', line) for line in lines[1:]]
        if not mismatches or not all(mismatches):
            raise CheckpointError(f'{path} cannot be loaded into {type(model).__name__}: '
                                  f'{" ".join([type(error).__name__, *lines[:2]])}') from error
        return found[0], found[1], [match[1] for match in mismatches]
    finally:
        handle.remove()


def _is_spare(key: str) -> bool:
    return key.startswith(('auxiliary_head', 'data_preprocessor')) or key.endswith('num_batches_tracked')


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
