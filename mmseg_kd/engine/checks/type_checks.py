"""Checks of every setting of a config by itself: names of types and arguments, and kinds of values."""

import difflib
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from mmseg import registry as registries
from torch.utils.data import DataLoader

from ...distillers import Distiller, Term
from ...io.arguments import arguments, call_mistakes, misfit, mistakes, nearest, nested, registered, told

# The types of MMEngine's default hooks, which a config may leave out.
DEFAULT_HOOKS = dict(
    runtime_info='RuntimeInfoHook',
    timer='IterTimerHook',
    sampler_seed='DistSamplerSeedHook',
    logger='LoggerHook',
    param_scheduler='ParamSchedulerHook',
    checkpoint='CheckpointHook',
)
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
LOOPS = ('train_cfg', 'val_cfg', 'test_cfg')
# Keys that MMSegmentation's tools and this package read beside the arguments of the Runner.
OTHER_KEYS = ('tta_model', 'tta_pipeline', 'vis_backends', 'data_preprocessor', 'runner_type')
LOADER_KINDS = dict(
    batch_size=int,
    num_workers=int,
    prefetch_factor=int | None,
    drop_last=bool,
    pin_memory=bool,
    persistent_workers=bool,
    shuffle=bool | None,
    timeout=float,
)
# Counts that must be at least this.
LEAST = dict(max_iters=1, max_epochs=1, val_interval=1, val_begin=0, batch_size=1, num_workers=0, prefetch_factor=1)


def type_mistakes(config: Config) -> Iterator[str]:
    """One line for each mistake that a single setting of a config shows, with its key.

    Args:
        config: Config of a training or a test.
    """
    yield from _top_level_mistakes(config)
    for key in ('model', 'tta_model', 'data_preprocessor'):
        if isinstance(config.get(key), dict):
            yield from _model_mistakes(config[key], key)
    for key in LOADERS:
        if config.get(key) is not None:
            yield from _loader_mistakes(config[key], key)
    for key in LOOPS:
        if config.get(key) is not None:
            yield from _loop_mistakes(config[key], key)
    if config.get('optim_wrapper') is not None:
        yield from _optimizer_mistakes(config.optim_wrapper, 'optim_wrapper')
    yield from _each(config.get('param_scheduler'), 'param_scheduler', registries.PARAM_SCHEDULERS)
    for key in ('val_evaluator', 'test_evaluator'):
        yield from _evaluator_mistakes(config.get(key), key)
    for name, hook in (config.get('default_hooks') or {}).items():
        if isinstance(hook, dict):
            default = {'type': DEFAULT_HOOKS[name]} if name in DEFAULT_HOOKS else {}
            yield from mistakes(registries.HOOKS, {**default, **hook}, f'default_hooks.{name}')
    hooks = config.get('custom_hooks')
    if hooks is not None and not isinstance(hooks, (list, tuple)):
        yield f'custom_hooks must be a list of hooks, but is {told(hooks)}; write [dict(type=...)]'
    elif hooks:
        yield from _each(hooks, 'custom_hooks', registries.HOOKS)
    for key, registry in dict(visualizer='VISUALIZERS', log_processor='LOG_PROCESSORS').items():
        if isinstance(config.get(key), dict) and 'type' in config[key]:
            yield from mistakes(getattr(registries, registry), config[key], key)


def _top_level_mistakes(config: Config) -> Iterator[str]:
    known = [*arguments(Runner).known, *OTHER_KEYS]
    for key in config:
        if key in known or key.startswith(('train_', 'val_', 'test_')) and key.endswith('pipeline'):
            continue
        name = next(iter(difflib.get_close_matches(key, known, n=1, cutoff=0.75)), '')
        least = 0.92 if name in config else 0.88
        if name and (sorted(name) == sorted(key) or difflib.SequenceMatcher(None, name, key).ratio() > least):
            yield f'{key} is no setting that training or testing reads; did you mean {name}?'
    for key, kind in dict(work_dir=str, load_from=str, resume=bool, launcher=str).items():
        if config.get(key) is not None:
            yield from filter(None, [misfit(config[key], kind, key)])


def _model_mistakes(model: dict, key: str) -> Iterator[str]:
    kind = registered(registries.MODELS, model.get('type'))
    distills = isinstance(kind, type) and issubclass(kind, Distiller)
    yield from mistakes(registries.MODELS, model, key, given=dict(data_preprocessor=None) if distills else None)
    for group in ('terms', 'unlabeled_terms') if distills else ():
        terms = model.get(group)
        # What is no dict is told by the annotation of the terms.
        for name, term in terms.items() if isinstance(terms, dict) else ():
            if isinstance(term, dict):
                yield from call_mistakes(Term, term, f'{key}.{group}.{name}', given=('name', 'group'))


def _loader_mistakes(loader: Any, key: str) -> Iterator[str]:
    if not isinstance(loader, dict):
        yield f'{key} must be a dict, but is {told(loader)}; write dict(dataset=..., sampler=..., batch_size=...)'
        return
    known = arguments(DataLoader).known
    parts = dict(dataset='DATASETS', sampler='DATA_SAMPLERS', batch_sampler='DATA_SAMPLERS')
    for name, value in loader.items():
        at = f'{key}.{name}'
        if name in parts:
            if isinstance(value, dict):
                yield from mistakes(getattr(registries, parts[name]), value, at)
            elif isinstance(value, (str, int, float, list)):
                yield f'{at} must be a dict with a type, but is {told(value)}; write dict(type=...)'
        elif name not in (*known, 'num_batch_per_epoch'):
            advice = nearest(name, known) or 'see torch.utils.data.DataLoader'
            yield f'{at}: a data loader has no argument {name}; {advice}'
        elif name != 'collate_fn' and name in known:
            yield from filter(None, [misfit(value, LOADER_KINDS.get(name, Any), at)])
            yield from _too_little(value, name, at)
    for name in ('dataset', 'sampler'):
        if loader.get(name) is None and loader.get('batch_sampler') is None:
            yield f'{key} needs {name}; add {key}.{name}=dict(type=...)'


def _loop_mistakes(loop: Any, key: str) -> Iterator[str]:
    if not isinstance(loop, dict):
        yield f'{key} must be a dict, but is {told(loop)}; write dict(type=...)'
        return
    if 'type' in loop:
        yield from mistakes(registries.LOOPS, loop, key)
    elif key == 'train_cfg':
        kind = 'EpochBasedTrainLoop' if loop.get('by_epoch') else 'IterBasedTrainLoop'
        yield from mistakes(registries.LOOPS, dict(loop, type=kind), key)
        length = 'max_epochs' if loop.get('by_epoch') else 'max_iters'
        if length not in loop:
            yield f'{key} needs {length}; add {key}.{length}, the length of training'
    for name in LEAST.keys() & loop.keys():
        yield from _too_little(loop[name], name, f'{key}.{name}')


def _too_little(value: Any, name: str, at: str) -> Iterator[str]:
    if name in LEAST and isinstance(value, (int, float)) and not value >= LEAST[name]:
        yield f'{at} must be >= {LEAST[name]}, but is {value}; raise it'


def _optimizer_mistakes(wrapper: Any, key: str) -> Iterator[str]:
    if not isinstance(wrapper, dict):
        yield f'{key} must be a dict, but is {told(wrapper)}; write dict(optimizer=dict(type=..., lr=...))'
        return
    if wrapper.get('constructor') in (None, 'DefaultOptimWrapperConstructor', 'DistillOptimWrapperConstructor'):
        yield from mistakes(registries.OPTIM_WRAPPERS, dict(dict(type='OptimWrapper'), **wrapper), key)
    else:
        yield from nested(wrapper.get('optimizer'), f'{key}.optimizer', registries.OPTIMIZERS)
    optimizer = wrapper.get('optimizer')
    if isinstance(optimizer, dict):
        rate = optimizer.get('lr', 0.1)
        wrong = misfit(rate, float, f'{key}.optimizer.lr')
        if wrong is not None or not rate > 0:
            yield wrong or f'{key}.optimizer.lr must be > 0, but is {rate}; raise it'
    elif optimizer is None and key == 'optim_wrapper' and wrapper.get('type', 'OptimWrapper') == 'OptimWrapper':
        yield f'{key} needs optimizer; add {key}.optimizer=dict(type=..., lr=...)'


def _evaluator_mistakes(evaluator: Any, key: str) -> Iterator[str]:
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        yield from call_mistakes(Evaluator, {k: v for k, v in evaluator.items() if k != 'type'}, key)
        yield from _each(evaluator['metrics'], f'{key}.metrics', registries.METRICS)
    else:
        yield from _each(evaluator, key, registries.METRICS)


def _each(node: Any, key: str, registry: Any) -> Iterator[str]:
    """The mistakes in one config or several, as a list or by name."""
    if isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            yield from _each(item, f'{key}.{index}', registry)
    elif (
        isinstance(node, dict)
        and 'type' not in node
        and any(isinstance(value, (dict, list)) for value in node.values())
    ):
        for name, item in node.items():
            yield from _each(item, f'{key}.{name}', registry)
    elif isinstance(node, (dict, str, int, float)):
        yield from mistakes(registry, node, key)
