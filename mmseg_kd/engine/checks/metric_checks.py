"""Checks of the metrics that hooks and schedules name."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.optim.scheduler.param_scheduler import ReduceOnPlateauParamScheduler
from mmseg.registry import HOOKS, PARAM_SCHEDULERS

from ..metric_names import MetricNames
from .problems import Problems
from .schedule_checks import policies
from .training_loop import registered_class


def check_metrics(config: Config, names: MetricNames | None) -> Problems:
    """Whether validation reports the metrics that hooks and schedules name.

    Args:
        config: Config of a training.
        names: Names of the reported metrics; None without validation.
    """
    problems = Problems()
    for key, hook in _hooks(config):
        kind = registered_class(HOOKS, hook.get('type'))
        if hook.get('save_best') is not None and (kind is None or issubclass(kind, CheckpointHook)):
            _check_best(problems, f'{key}.save_best', hook, names)
        elif 'monitor' in hook and kind is not None and issubclass(kind, EarlyStoppingHook):
            _check_name(problems, f'{key}.monitor', hook['monitor'], names)
    for key, policy in policies(config.get('param_scheduler')):
        kind = registered_class(PARAM_SCHEDULERS, policy.get('type'))
        if kind is not None and issubclass(kind, ReduceOnPlateauParamScheduler):
            _check_name(problems, f'{key}.monitor', policy.get('monitor', 'loss'), names)
            if not policy.get('by_epoch', True):
                problems.refuse(f'{key}.by_epoch is False, so MMEngine never lowers the learning rate; set it to True')
    return problems


def _check_best(problems: Problems, key: str, hook: dict, names: MetricNames | None) -> None:
    wanted = hook['save_best']
    if names is None:
        problems.warn(f'{key} is {wanted!r}, but nothing is validated, so no checkpoint is ever the best; leave it out')
        return
    for name in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
        if name != 'auto':
            _check_name(problems, key, name, names)
        elif names.names:
            name = names.names[0]
            problems.warn(
                f"{key} is 'auto', which takes the first metric of a validation, {name}; name the metric that "
                f'you mean: {", ".join(names.names)}'
            )
        elif names.complete:
            problems.refuse(f"{key} is 'auto', but validation reports no metric; change val_evaluator")
            continue
        else:
            continue
        try:
            CheckpointHook(interval=1, save_best=name, rule=hook.get('rule') if isinstance(wanted, str) else None)
        except ValueError:
            if isinstance(wanted, str):
                problems.refuse(
                    f'{key} is {name!r}, and MMEngine does not know whether higher is better; set '
                    f"{key.rpartition('.')[0]}.rule='greater' or 'less'"
                )


def _check_name(problems: Problems, key: str, name: Any, names: MetricNames | None) -> None:
    if names is None:
        problems.refuse(
            f'{key} is {name!r}, but nothing is validated; leave it out, or set val_dataloader, val_cfg and '
            'val_evaluator'
        )
    elif not names.may_hold(str(name)):
        given = ', '.join(names.names) or 'no known metric'
        if names.complete:
            problems.refuse(
                f'{key} is {name!r}, but validation reports {given}; name one of them, or change val_evaluator'
            )
        else:
            problems.warn(
                f'{key} is {name!r}; validation reports {given}, and further names of val_evaluator are unknown '
                'before the first validation'
            )


def _hooks(config: Config) -> Iterator[tuple[str, dict]]:
    """Key and config of every hook."""
    for name, hook in (config.get('default_hooks') or {}).items():
        if isinstance(hook, dict):
            yield f'default_hooks.{name}', hook
    for index, hook in enumerate(config.get('custom_hooks') or ()):
        if isinstance(hook, dict):
            yield f'custom_hooks.{index}', hook
