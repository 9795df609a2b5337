"""Read checkpoints without running code from them, and load them completely or not at all."""

import logging
import os
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from torch import Tensor, nn

from .checkpoint_kinds import kind_of_file, kind_of_weights
from .config_text import read_config_text
from .downloads import DownloadError, download
from .safe_pickle import UnsafeFileError, check_file, load_file
from .trust import REMEDY, trusted


class CheckpointError(ValueError):
    """The checkpoint is missing, unsafe, corrupt, or belongs to another network."""


def read_checkpoint(path: str, map_location: Any = 'cpu') -> dict:
    """Read a checkpoint without executing code from it.

    Args:
        path: Local file, ``https`` address (downloaded once, into torch's hub folder), or any path that MMEngine's
            file backends read.
        map_location: Device of the tensors, as for ``torch.load``.

    Raises:
        CheckpointError: If the file does not exist, is not a checkpoint, or holds objects that could run code.

    Example:
        >>> import torch
        >>> torch.save(dict(state_dict=dict(weight=torch.ones(2))), 'student.pth')
        >>> read_checkpoint('student.pth')
        {'state_dict': {'weight': tensor([1., 1.])}}
    """
    checkpoint = read_tensors(path, map_location)
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{path} must hold a dict, but holds a {type(checkpoint).__name__}')
    return checkpoint


def read_tensors(path: str, map_location: Any = 'cpu') -> Any:
    """Read a file of ``torch.save`` that need not hold a dict, without executing code from it.

    Args:
        path: As for :func:`read_checkpoint`.
        map_location: Device of the tensors, as for ``torch.load``.

    Raises:
        CheckpointError: If the file does not exist, ``torch.save`` did not write it, or it could run code.

    Example:
        >>> import torch
        >>> torch.save(torch.ones(2), 'embedding.pth')
        >>> read_tensors('embedding.pth')
        tensor([1., 1.])
    """
    content = _read(path, lambda file: load_file(file, map_location))
    _leave_out_code(content, path)
    return content


def check_checkpoint(path: str) -> None:
    """Check that a checkpoint can be read: it exists, is complete, and holds nothing that could run code.

    Only what the file declares is read, so the check takes milliseconds.

    Args:
        path: Path or address of the checkpoint.

    Raises:
        CheckpointError: If the file cannot be read safely.

    Example:
        >>> from pathlib import Path
        >>> _ = Path('half.pth').write_bytes(b'PK')
        >>> check_checkpoint('half.pth')
        Traceback (most recent call last):
        ...
        mmseg_kd.io.checkpoint.CheckpointError: half.pth is not a readable checkpoint: ...
    """
    _read(path, check_file)


def _read(path: str, read: Callable[[str], Any]) -> Any:
    """Apply a function to the local file of a path; its errors become one line."""
    local = path
    if urlparse(path).scheme in ('http', 'https'):
        try:
            local = download(path)
        except DownloadError as error:
            raise CheckpointError(str(error)) from None
    if '://' not in local and not os.path.isfile(local):
        raise CheckpointError(f'no such checkpoint: {local}')
    try:
        with get_local_path(local) as file:
            return read(file)
    except UnsafeFileError as error:
        raise CheckpointError(f'{path} {error}') from None
    except Exception as error:
        raise CheckpointError(
            f'{path} is not a readable checkpoint: {kind_of_file(local) or _first_line(error)}'
        ) from None


# MMEngine executes the first one when it resumes, and the others where an inferencer has no config.
CONFIGS = (('meta', 'config'), ('meta', 'cfg'), ('message_hub', 'runtime_info', 'cfg'))


def _leave_out_code(checkpoint: Any, path: str) -> None:
    """Remove a stored config that is more than data, with a warning: MMEngine would execute it."""
    for keys in () if trusted() else CONFIGS:
        holder: Any = checkpoint
        for key in keys[:-1]:
            holder = holder.get(key) if isinstance(holder, dict) else None
        text = holder.get(keys[-1]) if isinstance(holder, dict) else None
        if not isinstance(text, str):
            continue
        name = f'{path}: {".".join(keys)}'
        try:
            if '{{' in text:  # MMEngine replaces {{$NAME:text}} before it executes the config
                raise UnsafeFileError(f'{name}: a template ("{{{{") in a config could run code; {REMEDY}')
            read_config_text(text, name)
        except UnsafeFileError as error:
            del holder[keys[-1]]
            print_log(f'left out: {error}', 'current', logging.WARNING)
        except ValueError:
            pass  # what is not Python does not run


def student_weights(checkpoint: dict) -> dict[str, Tensor]:
    """The student's weights in a distiller's checkpoint, with the names of a plain segmentor; empty if there are none.

    Args:
        checkpoint: Content of a checkpoint, as :func:`read_checkpoint` returns it, or a bare ``state_dict``.

    Example:
        >>> student_weights({'state_dict': {'student.backbone.weight': 1, 'terms.loss_kd.weight': 2}})
        {'backbone.weight': 1}
    """
    weights = {_WRAPPERS.sub('', key): value for key, value in checkpoint.get('state_dict', checkpoint).items()}
    return {key.removeprefix('student.'): value for key, value in weights.items() if key.startswith('student.')}


def named_weights(checkpoint: dict, model: nn.Module, path: str) -> dict[str, Tensor]:
    """The weights of a checkpoint, under the names that they have in a model.

    The search covers every dict of the file and every prefix of the names: weights of a plain segmentor, of a
    distiller (``student.``), and of wrappers and other toolboxes (``module.``, ``model.``, ``_orig_mod.``). The prefix
    that matches most names is chosen. Among equal matches, a student is preferred to a teacher, and ``state_dict``,
    where MMEngine saves averaged weights, to other dicts.

    Args:
        checkpoint: Content of a checkpoint, as :func:`read_checkpoint` returns it, or a bare ``state_dict``.
        model: Segmentor or distiller. The weights of a plain segmentor are renamed to those of the distiller's student.
        path: Name of the file for error messages.

    Raises:
        CheckpointError: If no weights fit the model, or if several networks in the file fit it equally well.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> checkpoint = dict(model={'module.weight': torch.zeros(1, 2), 'module.bias': torch.zeros(1)})
        >>> list(named_weights(checkpoint, nn.Linear(2, 1), 'linear.pth'))
        ['weight', 'bias']
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
        f'{path} holds no weights that fit {type(model).__name__}: {kind_of_weights(tensors, _names(model))}'
    )


def load_weights(model: nn.Module, path: str) -> None:
    """Load a checkpoint into a segmentor; every weight must fit, as in :func:`fit_weights`.

    Args:
        model: Segmentor or distiller.
        path: Path or address of the checkpoint.

    Raises:
        CheckpointError: If the checkpoint cannot be read or does not fit. The model must not be used afterwards.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> torch.save(dict(weight=torch.ones(1, 2), bias=torch.zeros(1)), 'linear.pth')
        >>> linear = nn.Linear(2, 1)
        >>> load_weights(linear, 'linear.pth')
        >>> linear.weight.tolist()
        [[1.0, 1.0]]
    """
    fit_weights(model, named_weights(read_checkpoint(path), model, path), path)


def fit_weights(model: nn.Module, weights: dict[str, Tensor], path: str) -> None:
    """Load weights into a segmentor, or into the student of a distiller; every weight must fit.

    The comparison follows the network's own load hooks, which may rename or resize weights (such as Swin's relative
    position tables). Only weights that inference never uses, or that the network computes itself, may differ:
    auxiliary heads, BatchNorm's step counters, index tables, and buffers that a load hook removes.

    Args:
        model: Segmentor or distiller.
        weights: Weights by name, as :func:`named_weights` returns them.
        path: Name of the file for error messages.

    Raises:
        CheckpointError: If keys are missing or unexpected, or if shapes differ. The model must not be used afterwards.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> fit_weights(nn.Linear(2, 1), dict(weight=torch.ones(1, 2)), 'linear.pth')
        Traceback (most recent call last):
        ...
        mmseg_kd.io.checkpoint.CheckpointError: linear.pth does not fit Linear: 1 keys missing, 0 unexpected, ...
    """
    check_finite(weights, path)
    student: Any = getattr(model, 'student', None)
    if hasattr(model, 'plain_prefixes'):
        model, weights = student, student_weights(weights)
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


def check_finite(weights: dict[str, Tensor], path: str) -> None:
    """Refuse weights that are NaN or infinite, which a run that diverged leaves.

    Args:
        weights: Weights by name.
        path: Name of the file for error messages.

    Raises:
        CheckpointError: If a parameter or a running statistic is not finite; the message names the first.

    Example:
        >>> check_finite(dict(weight=torch.tensor([1.0, float('nan')])), 'student.pth')
        Traceback (most recent call last):
        ...
        mmseg_kd.io.checkpoint.CheckpointError: student.pth holds NaN or infinite weights (1 of 1, such as weight); ...
    """
    sums = {name: value.float().sum() for name, value in weights.items() if value.is_floating_point()}
    if not sums or torch.stack([value.cpu() for value in sums.values()]).isfinite().all():
        return
    # Infinite values are common in constant tables, such as the masks of an attention.
    parts = ('weight', 'bias', 'running_mean', 'running_var')
    wrong = [
        name
        for name in sums
        if weights[name].isnan().any() or (name.endswith(parts) and not weights[name].isfinite().all())
    ]
    if wrong:
        raise CheckpointError(
            f'{path} holds NaN or infinite weights ({len(wrong)} of {len(sums)}, such as {wrong[0]}); the training '
            'diverged: take an earlier checkpoint, or train again with a lower learning rate'
        )


def all_weights(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and persistent buffers by name, including those that a network removes from its ``state_dict``.

    Args:
        model: Any network.

    Example:
        >>> from torch import nn
        >>> list(all_weights(nn.BatchNorm2d(3)))
        ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """
    buffers = (
        (f'{path}.{name}'.lstrip('.'), buffer)
        for path, module in model.named_modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and name not in module._non_persistent_buffers_set
    )
    return dict((*model.named_parameters(), *buffers))


def _load(model: nn.Module, weights: dict[str, Tensor], path: str) -> tuple[list[str], list[str], list[str]]:
    """Missing keys, unexpected keys, and keys with another shape, as PyTorch reports them after all load hooks."""
    found: list[list[str]] = [[], []]
    # An error about shapes hides the missing keys. This hook runs before PyTorch raises it.
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
        return found[0], found[1], [match[1] for match in mismatches if match]
    finally:
        handle.remove()


def _is_spare(key: str) -> bool:
    return key.startswith(('auxiliary_head', 'data_preprocessor')) or key.endswith('num_batches_tracked')


# Parts of names that torch.compile, FSDP and activation checkpointing insert.
_WRAPPERS = re.compile(r'^(?:module\.)+|\b(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.')


def _tensors(node: dict, prefix: str = '') -> dict[str, Tensor]:
    """The tensors of a checkpoint by name; tensors in nested dicts carry the dict's key as a prefix."""
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
    """The prefix of a network's names in a file; None if no name matches."""
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
            f'{path} holds several networks that fit: {", ".join(sorted(best))}; save the state_dict of only one'
        )
    return best[0] if best else None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # PyTorch's message begins with advice to load unsafely; the cause comes later.
    return next((line for line in lines if line.startswith('WeightsUnpickler error')), lines[0])
