"""Exceptions as text for users: mistakes in one line, unexpected errors with what a report needs."""

import linecache
import os
import platform
import sys
import traceback
from importlib import metadata
from pathlib import Path
from types import TracebackType

from ..version import __version__
from .rank_failures import LOST, after_another, is_connected

DEBUG = 'MMSEG_KD_DEBUG'
MISTAKE = 2  # exit status of a tool, as that of argparse for a wrong command line
PACKAGES = (
    'torch',
    'numpy',
    *(f'{start}{name}' for start in ('onedl-', '') for name in ('mmengine', 'mmcv', 'mmsegmentation')),
)
HUB = (
    'connect, name a local folder, or set pretrained=False for random weights (of a TIMMBackbone: '
    'model.backbone.pretrained)'
)
OWN = str(Path(__file__).resolve().parents[1])
# Their exceptions name a setting, but not where it stands.
LIBRARIES = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain')


class ConfigError(ValueError):
    """A setting that must be changed; the message names its key.

    Example:
        >>> raise ConfigError('model.terms.loss_cwd.weight must be a number, but is None; remove it for 1')
        Traceback (most recent call last):
        ...
        mmseg_kd.io.errors.ConfigError: model.terms.loss_cwd.weight must be a number, but is None; remove it for 1
    """


def sentence(error: BaseException) -> str:
    """An exception as one line. Unexpected types of exceptions are followed by the place that raised them.

    Args:
        error: Exception that was caught.

    Example:
        >>> sentence(ValueError('temperature must be > 0, but is -1'))
        'temperature must be > 0, but is -1'
        >>> sentence(FileNotFoundError(2, 'No such file or directory', 'data/camvid/img_dir/train'))
        'data/camvid/img_dir/train must exist, but does not; create it, or change the setting that names it'
        >>> sentence(KeyError('model'))
        "KeyError: 'model'"
    """
    text = ' '.join(str(error).split())
    if _out_of_memory(error):
        return f'the GPU is out of memory; lower train_dataloader.batch_size or the crop size ({text})'
    if type(error).__module__.partition('.')[0] == 'huggingface_hub' and text:
        return f'weights must come from the Hugging Face Hub or its local cache, but do not; {HUB} ({text})'
    if isinstance(error, FileNotFoundError) and error.filename and error.strerror:
        return f'{error.filename} must exist, but does not; create it, or change the setting that names it'
    if isinstance(error, (ValueError, OSError, ImportError, FloatingPointError)) and text:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f' ({_short(frames[-1].filename)}, line {frames[-1].lineno})' if frames else ''
    return f'{type(error).__name__}: {text}{place}'


def is_mistake(error: BaseException) -> bool:
    """Whether the user can correct the cause of an exception: settings, files, packages and memory.

    Exceptions that this package or an OpenMMLab library raises on purpose count as mistakes. Exceptions of any other
    origin, such as a failed operation on tensors, are unexpected.

    Args:
        error: Exception that was caught.

    Example:
        >>> is_mistake(FileNotFoundError('no such config: a.py')), is_mistake(ZeroDivisionError())
        (True, False)
    """
    if isinstance(error, (ConfigError, OSError, ImportError)) or _out_of_memory(error):
        return True
    last = _last(error.__traceback__)
    if last is None or isinstance(error, NotImplementedError):
        return False
    file, line = last.tb_frame.f_code.co_filename, last.tb_lineno
    # Arguments that a constructor does not take are refused by the call in MMEngine's build function.
    if file.endswith(os.path.join('mmengine', 'registry', 'build_functions.py')):
        return True
    raises = linecache.getline(file, line).strip().startswith(('raise', 'assert'))
    return raises and (file.startswith(OWN) or any(f'{os.sep}{name}{os.sep}' in file for name in LIBRARIES))


def report(error: BaseException, debug: bool = False) -> int:
    """Print an exception that ended a tool to standard error, and return the exit status.

    A mistake is one line (one for each setting that must be changed) after ``error:``; the status is 2. Of several
    processes on one machine, only the first prints mistakes found before they are connected, since all find the same.
    Any other exception is shown with its traceback and the versions that a report needs; the status is 1. Of connected
    processes, the one that failed first does that. The others name it in one line, and their status is 3.

    Args:
        error: Exception that was caught.
        debug: Whether to show the traceback of mistakes too.
    """
    mistake, other = is_mistake(error), after_another(error, sentence(error))
    if debug or not (mistake or other):
        traceback.print_exception(error)
    if other is not None:
        print(f'error: {other}', file=sys.stderr)
        return LOST
    rank, local_rank = (int(os.environ.get(name, 0)) for name in _rank_names())
    if not mistake:
        print(_request(), f'\n  rank: {rank}' if rank else '', sep='', file=sys.stderr)
        return 1
    if is_connected() or not local_rank:
        for line in str(error).splitlines() if isinstance(error, ConfigError) else [_line(error)]:
            print(f'error: {f"rank {rank}: " if rank else ""}{line}', file=sys.stderr)
    return MISTAKE


def wants_debug(arguments: list[str]) -> bool:
    """Whether the command line (``--debug``) or the environment (``MMSEG_KD_DEBUG=1``) asks for tracebacks.

    Args:
        arguments: Arguments of the command line.
    """
    return '--debug' in arguments or os.environ.get(DEBUG, '0') not in ('', '0')


def _out_of_memory(error: BaseException) -> bool:
    torch = sys.modules.get('torch')  # errors of a command line are told before it is imported
    return torch is not None and isinstance(error, torch.cuda.OutOfMemoryError)


def _line(error: BaseException) -> str:
    text, last = sentence(error), _last(error.__traceback__)
    file = '' if last is None else last.tb_frame.f_code.co_filename
    if isinstance(error, (OSError, ImportError)) or file.startswith(OWN) or last is None:
        return text
    place = '' if text.endswith(')') else f' ({_short(file)}, line {last.tb_lineno})'
    return f'{text}{place}; --debug shows the traceback'


def _request() -> str:
    versions = [f'mmseg_kd {__version__}', f'Python {platform.python_version()}']
    for name in PACKAGES:
        try:
            versions.append(f'{name} {metadata.version(name)}')
        except metadata.PackageNotFoundError:
            continue
    import torch

    return (
        'This error was not expected. Please report it as an issue of mmseg_kd, with the traceback above, the config '
        f'and these lines:\n  command: {" ".join(map(str, sys.argv))}\n  versions: {", ".join(versions)}, '
        f'{platform.platform()}, {torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"}'
    )


def _rank_names() -> tuple[str, str]:
    for names in (('SLURM_PROCID', 'SLURM_LOCALID'), ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK')):
        if names[0] in os.environ and 'RANK' not in os.environ:
            return names
    return 'RANK', 'LOCAL_RANK'


def _last(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _short(file: str) -> str:
    return '/'.join(Path(file).parts[-3:])
