"""Checks of precisions that a CPU emulates."""

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmseg.registry import OPTIM_WRAPPERS

from ...distillers.teacher import DTYPES
from ...profiling.half_precision import relative_cpu_time
from ..optim import BFloat16OptimWrapper
from .problems import Problems
from .training_loop import registered_class

SLOWER = 2.0  # times as long as float32: emulation takes 5 to 50 times as long, and background load changes it little


def check_precision(config: Config) -> Problems:
    """Warn if mixed precision, or the precision of a teacher that runs in the training, is slower than float32 here.

    Args:
        config: Config of a training.
    """
    problems = check_teacher_precision(config)
    wrapper = config.get('optim_wrapper')
    kind = registered_class(OPTIM_WRAPPERS, wrapper.get('type')) if isinstance(wrapper, dict) else None
    if kind is not None and issubclass(kind, BFloat16OptimWrapper):
        _check(problems, 'bfloat16', 'optim_wrapper.type=BFloat16OptimWrapper (--amp)', 'OptimWrapper (without --amp)')
    return problems


def check_teacher_precision(config: Config) -> Problems:
    """Warn if the precision of a teacher whose outputs are not stored is slower than float32 here.

    Args:
        config: Config of a training, or of a cache to be made.
    """
    problems = Problems()
    model = config.get('model')
    teacher = model.get('teacher') if isinstance(model, dict) else None
    for key, name in _dtypes(teacher, 'model.teacher'):
        _check(problems, name, f'{key}={name!r}', 'None')
    return problems


def _dtypes(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Key and value of ``dtype`` of every teacher without stored outputs."""
    if isinstance(node, (list, tuple)):
        for place, member in enumerate(node):
            yield from _dtypes(member, f'{key}[{place}]')
    elif isinstance(node, dict) and node.get('cache') is None:
        if isinstance(node.get('dtype'), str):
            yield f'{key}.dtype', node['dtype']
        for name, member in node.items():
            yield from _dtypes(member, f'{key}.{name}')


def _check(problems: Problems, name: str, setting: str, instead: str) -> None:
    dtype = DTYPES.get(name)
    if dtype in (None, torch.float32) or get_device() != 'cpu':
        return
    ratio = relative_cpu_time(dtype)
    if ratio > SLOWER:
        problems.warn(
            f'{setting} is slower than float32 on this CPU: a convolution takes {ratio:.2g} times as long, because the '
            f'CPU emulates {name}; set it to {instead}, unless you compare with runs in {name}'
        )
