"""Training budgets: equal iterations, epochs or seconds for all candidates, and schedules that scale with them."""

import copy
import itertools
import math
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS, TASK_UTILS

from ..distillers import Distiller
from ..engine.checks.term_checks import terms_by_key
from ..engine.launch import prepare_launch

KINDS = ('iterations', 'epochs', 'seconds')
# Weights may follow a schedule, and a term with weight 0 costs nothing: steps are timed at several moments.
MOMENTS = 5


def iterations_of(budget: dict, config: Config, step_seconds: float | None = None) -> int:
    """The number of iterations in a budget; at least one.

    Args:
        budget: ``dict(kind=..., value=...)``. The kind is ``'iterations'``; or ``'epochs'``, each with as many images
            as the training set; or ``'seconds'`` of training steps, without validation.
        config: training config with ``train_dataloader``.
        step_seconds: seconds of one step; needed for a budget in seconds.

    Example:
        >>> iterations_of(dict(kind='seconds', value=60), Config(), step_seconds=0.5)
        120
    """
    if budget['kind'] == 'iterations':
        return int(budget['value'])
    if budget['kind'] == 'epochs':
        init_default_scope(config.get('default_scope', 'mmseg'))
        images = len(DATASETS.build(copy.deepcopy(config.train_dataloader.dataset)))
        return max(1, math.ceil(budget['value'] * images / config.train_dataloader.batch_size))
    return max(1, int(budget['value'] / step_seconds))


def stretch(config: Config, iterations: int) -> dict[str, Any]:
    """The changes to a config for another number of iterations, with schedules of the same shape.

    Starts, ends and periods of learning rate schedules and of term weights scale with the iterations. So do the
    intervals of validation and checkpoints. Schedules by epoch do not change.

    Args:
        config: config of a training by iterations.
        iterations: new number of iterations.

    Returns:
        dict: values by dotted key, as for ``--cfg-options``; empty if the config has this number already.

    Raises:
        ValueError: if the config trains by epochs.

    Example:
        >>> stretch(Config(dict(train_cfg=dict(max_iters=100, val_interval=50))), 200)
        {'train_cfg.max_iters': 200, 'train_cfg.val_interval': 100}
    """
    before = config.get('train_cfg', {}).get('max_iters')
    if before is None:
        raise ValueError(
            'train_cfg.max_iters must be set, because a sweep counts iterations, but the config trains by '
            "epochs; set train_cfg=dict(type='IterBasedTrainLoop', max_iters=..., val_interval=...)"
        )
    if iterations == before:
        return {}
    changed = {'train_cfg.max_iters': iterations}
    for key in ('train_cfg.val_interval', 'default_hooks.checkpoint.interval'):
        section, _, name = key.rpartition('.')
        interval = (value_at(config, section) or {}).get(name, -1)
        if interval > 0:
            changed[key] = -(
                -interval * iterations // before
            )  # rounded up, otherwise the last interval would be shorter
    schedules = list(_schedulers('param_scheduler', config.get('param_scheduler') or []))
    for key, term in terms_by_key(config):
        weight = term.get('weight')
        share = weight.get('share') if isinstance(weight, dict) else None
        found: dict[str, Any] = {f'{key}.weight': weight, f'{key}.weight.share': share}
        schedules += [(path, schedule) for path, schedule in found.items() if _counts_iterations(schedule)]
    for path, schedule in schedules:
        stretched = _stretch_schedule(schedule, iterations, before)
        changed.update({f'{path}.{key}': value for key, value in stretched.items()})
    return changed


def measure_step_seconds(
    configs: dict[str, Config],
    warmup: int = 3,
    rounds: int = 5,
    clock: Callable[[], float] = time.perf_counter,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Seconds of one training step of each config on this machine.

    All models are built first. Their steps are then interleaved, so background load affects all configs equally. The
    median over rounds counts. The time includes data loading if no worker processes load data. Teachers have random
    weights, which cost the same. Nothing is downloaded, and all learning rates are 0.

    Args:
        configs: training configs by name.
        warmup: number of steps of each config before the measurement.
        rounds: number of measured steps of each config. If a weight has a schedule, it is the number at each of five
            moments of training, for which the weights are set; the result is then the mean of the five medians.
        clock: monotonic clock, in seconds.
        report: function that is called with the number of steps done, and to do.
    """
    with tempfile.TemporaryDirectory() as folder:
        steps = {name: _Steps(config, folder) for name, config in configs.items()}
        moments = MOMENTS if any(step.varies for step in steps.values()) else 1
        total = len(steps) * (warmup + moments * rounds)
        count = itertools.count(1)

        def take(name: str, moment: float) -> float:
            taken = steps[name].take(moment, clock)
            report(next(count), total)
            return taken

        for _ in range(warmup):
            for name in steps:
                take(name, 0.5)
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for moment in range(moments):
            taken: dict[str, list[float]] = {name: [] for name in steps}
            for _ in range(rounds):
                for name in steps:
                    taken[name].append(take(name, (moment + 0.5) / moments))
            for name, values in taken.items():
                seconds[name].append(statistics.median(values))
    return {name: statistics.mean(values) for name, values in seconds.items()}


def value_at(config: Config, key: str) -> Any:
    """The value at a dotted key of a config, where a number is an index of a list; None if there is no such key.

    Example:
        >>> value_at(Config(dict(hooks=[dict(interval=10)])), 'hooks.0.interval')
        10
    """
    node: Any = config._cfg_dict
    for part in key.split('.'):
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node


def teachers(config: Config) -> Iterator[dict]:
    """The settings of all teachers with a checkpoint, including the members of ensembles.

    Example:
        >>> list(teachers(Config(dict(model=dict(teacher=dict(config='t.py', checkpoint='t.pth'))))))
        [{'config': 't.py', 'checkpoint': 't.pth'}]
    """
    nodes = [(config.get('model') or {}).get('teacher')]
    for node in nodes:
        if isinstance(node, dict):
            if 'checkpoint' in node:
                yield node
            nodes.extend(node.values())
        elif isinstance(node, (list, tuple)):
            nodes.extend(node)


class _Steps:
    """Training steps of one config."""

    def __init__(self, config: Config, folder: str) -> None:
        config = copy.deepcopy(config)
        for teacher in teachers(config):
            teacher['checkpoint'] = None
        config.update(
            work_dir=folder,
            experiment_name=f'step_seconds_{uuid.uuid4().hex}',
            # MMEngine keeps visualizers by name until the process ends; the next run would write to this folder.
            visualizer=None,
            log_level='ERROR',
            launcher='none',
            load_from=None,
            resume=False,
            custom_hooks=[],
            **{f'{phase}_{part}': None for phase in ('val', 'test') for part in ('dataloader', 'cfg', 'evaluator')},
        )
        prepare_launch(config)
        runner = Runner.from_cfg(config)
        self._model, self._iterations = runner.model, config.train_cfg.max_iters
        self._optimizers = runner.build_optim_wrapper(config.optim_wrapper)
        self._optimizers.initialize_count_status(self._model, 0, self._iterations)
        wrappers = getattr(self._optimizers, 'optim_wrappers', {'': self._optimizers}).values()
        for group in (group for wrapper in wrappers for group in wrapper.optimizer.param_groups):
            group['lr'] = 0.0
        # With the views and the original pixels that teachers may need.
        self._loader = runner.build_dataloader(runner._train_dataloader)
        self._batches = iter(self._loader)

    @property
    def varies(self) -> bool:
        """Whether a weight or a share depends on the moment of training."""
        terms = self._model.all_terms.values() if isinstance(self._model, Distiller) else ()
        return any(term.schedule is not None and not getattr(term.schedule, 'constant', False) for term in terms)

    def take(self, share: float, clock: Callable[[], float]) -> float:
        """Seconds of a step with the term weights at this share of training, from 0 to 1."""
        if isinstance(self._model, Distiller):
            self._model.move_terms(int(share * self._iterations), self._iterations)
        self._model.train()
        begin = clock()
        batch = self._next_batch()
        if self._loader.num_workers:
            begin = clock()
        self._model.train_step(batch, optim_wrapper=self._optimizers)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return clock() - begin

    def _next_batch(self) -> Any:
        try:
            return next(self._batches)
        except StopIteration:
            self._batches = iter(self._loader)
            return next(self._batches)


def _stretch_schedule(schedule: dict, iterations: int, before: int) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if 'begin' in schedule:
        changed['begin'] = round(schedule['begin'] * iterations / before)
    for key in ('end', 'iters', 'T_max', 'step_size', 'total_steps'):
        if isinstance(schedule.get(key), int):
            least = changed.get('begin', 0) + 1 if key == 'end' else 1
            changed[key] = max(least, round(schedule[key] * iterations / before))
    for key in ('milestones', 'periods'):
        if key in schedule:
            changed[key] = [max(1, round(value * iterations / before)) for value in schedule[key]]
    return {key: value for key, value in changed.items() if value != schedule[key]}


def _counts_iterations(schedule: Any) -> bool:
    """Whether a value is the config of a weight's schedule whose moments are iterations, not fractions of training."""
    return isinstance(schedule, dict) and not getattr(TASK_UTILS.get(schedule.get('type', '')), 'by_progress', False)


def _schedulers(path: str, node: Any) -> Iterator[tuple[str, dict]]:
    """Schedulers by iteration, of one optimizer or of several by name."""
    if isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from _schedulers(f'{path}.{index}', child)
    elif 'type' not in node:
        for name, child in node.items():
            yield from _schedulers(f'{path}.{name}', child)
    elif node.get('by_epoch', True) is False:
        yield path, node
