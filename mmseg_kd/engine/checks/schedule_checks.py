"""Checks of learning rate schedules against the length of training."""

import math
from collections.abc import Iterator
from typing import Any

from mmengine.optim.scheduler.param_scheduler import ReduceOnPlateauParamScheduler
from mmseg.registry import PARAM_SCHEDULERS

from .problems import Problems
from .training_loop import Loop, registered_class

WASTE = 0.1  # a longer part of training at the final learning rate is a mistake


def check_schedules(schedulers: Any, loop: Loop, start: int = 0) -> Problems:
    """Whether schedules count in the same unit as training, and end with it.

    Args:
        schedulers: ``param_scheduler`` of a config.
        loop: Loop of the training.
        start: Number of finished epochs or iterations.
    """
    problems = Problems()
    for key, policy in policies(schedulers):
        kind = registered_class(PARAM_SCHEDULERS, policy.get('type'))
        if kind is None or issubclass(kind, ReduceOnPlateauParamScheduler) or kind.__name__.endswith('Momentum'):
            continue
        by_epoch = policy.get('by_epoch', True)
        if by_epoch and not loop.by_epoch and not policy.get('convert_to_iter_based'):
            problems.refuse(
                f'{key}.by_epoch is True (the default), but training counts iterations and is one epoch, so '
                'the schedule would never move; set by_epoch=False'
            )
        elif by_epoch == loop.by_epoch:
            _check_schedule(problems, key, kind.__name__, policy, loop, start)
    return problems


def policies(node: Any, path: str = 'param_scheduler') -> Iterator[tuple[str, dict]]:
    """Key and config of every schedule, for one optimizer or for several by name.

    Args:
        node: ``param_scheduler`` of a config.
        path: Key of ``node``.
    """
    if isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from policies(child, f'{path}.{index}')
    elif isinstance(node, dict) and 'type' in node:
        yield path, node
    elif isinstance(node, dict):
        for name, child in node.items():
            yield from policies(child, f'{path}.{name}')


def _check_schedule(problems: Problems, key: str, kind: str, policy: dict, loop: Loop, start: int) -> None:
    begin, end = policy.get('begin', 0), policy.get('end', math.inf)
    if begin >= loop.total:
        problems.warn(f'{key}.begin is {begin}, but {loop.length}: the schedule never begins')
        return
    end, span = _end(kind, policy, begin, end)
    rises = kind.startswith(('Linear', 'Constant')) and _first(kind, policy) < _final(kind, policy)
    if 'CosineRestart' in kind or 'OneCycle' in kind:
        if begin + span < min(loop.total, policy.get('end', math.inf)):
            problems.refuse(
                f'{key} ({kind}) lasts {span}, but {loop.length}: MMEngine would stop there with an error; set '
                f'{"periods" if "Restart" in kind else "total_steps"} to the length of training'
            )
    elif rises and end >= loop.total:
        problems.warn(
            f'{key} ({kind}) is a warm-up that {_ends(end)}, but {loop.length}: all of training is warm-up; set '
            f'{key}.end'
        )
    elif kind.startswith('MultiStep') and end >= loop.total:
        problems.warn(f'{key}.milestones begin at {end}, but {loop.length}: the learning rate never falls')
    elif not rises and end > loop.total:
        problems.warn(
            f'{key} ({kind}) {_ends(end)}, but {loop.length}: the learning rate is cut off before its '
            f'end; set {key}.end to the length of training'
        )
    elif not rises and end < loop.total and _floor(kind, policy) is not None:
        rest = (loop.total - max(end, start)) / max(loop.total - start, 1)
        if _floor(kind, policy) == 0 and rest >= WASTE:
            problems.refuse(
                f'{key} ({kind}) ends at {end} with a learning rate of 0, but {loop.length}: nothing is learned '
                f'after {end}; set {key}.end to the length of training'
            )
        elif rest >= WASTE:
            problems.warn(
                f'{key} ({kind}) ends at {end}, but {loop.length}: the learning rate stays at its minimum '
                f'after {end}; set {key}.end to the length of training'
            )


def _end(kind: str, policy: dict, begin: int, end: float) -> tuple[float, float]:
    """The end and the length of a schedule."""
    if kind.startswith('CosineAnnealing') and policy.get('T_max') is not None:
        return begin + policy['T_max'], policy['T_max']
    if 'CosineRestart' in kind:
        return end, sum(policy.get('periods') or ())
    if 'OneCycle' in kind and policy.get('total_steps') is not None:
        return begin + policy['total_steps'], policy['total_steps']
    if kind.startswith('MultiStep') and policy.get('milestones'):
        return begin + min(policy['milestones']), min(policy['milestones'])
    if kind.startswith(('Step', 'Exponential')):
        return begin, 0
    return end, end - begin


def _first(kind: str, policy: dict) -> float:
    return policy.get('factor' if kind.startswith('Constant') else 'start_factor', 1 / 3)


def _final(kind: str, policy: dict) -> float:
    return 1.0 if kind.startswith('Constant') else policy.get('end_factor', 1.0)


def _floor(kind: str, policy: dict) -> float | None:
    """The final value of a falling schedule; None for other schedules."""
    if kind.startswith('Linear'):
        return policy.get('end_factor', 1.0)
    if kind.startswith('Poly'):
        return policy.get('eta_min', 0)
    if kind.startswith('CosineAnnealing'):
        return policy.get('eta_min_ratio') or policy.get('eta_min') or 0
    return None


def _ends(end: float) -> str:
    return 'has no end' if math.isinf(end) else f'ends at {end}'
