"""The content of a sweep file, checked before anything runs: candidates, stages, seeds and a budget."""

import copy
import difflib
import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config
from mmengine.visualization import LocalVisBackend
from mmseg.registry import VISBACKENDS

from ..cache import encoding
from ..engine.checks import check_config
from ..engine.metric_names import metric_names
from ..engine.setup_terms import read_setup
from ..io.command_line import as_arguments
from ..io.configs import read_config
from .budget import KINDS, stretch, value_at
from .caches import check_sharing

SCALARS = 'scalars.json'
SAMPLERS = ('grid', 'random', 'tpe')
MANY_CLASSES = (10**6, 1, 1)  # a map that holds the classes of any encoding


@dataclass(frozen=True)
class Candidate:
    """One way to train the student.

    Args:
        name: name of the candidate's folder, and its name in tables.
        config: training config, as a path or ``package::...``.
        options: changes to the config, by dotted key.
        inherit: other candidates whose best values are used, also from stages without this candidate.
        terms: name or path of the terms of a method, if the config is a setup.

    Example:
        >>> Candidate('cwd', 'setup.py', terms='cwd').source
        {'config': 'setup.py', 'terms': 'cwd'}
    """

    name: str
    config: str
    options: dict[str, Any] = field(default_factory=dict)
    inherit: tuple[str, ...] = ()
    terms: str | None = None

    @property
    def source(self) -> dict[str, str]:
        """The config and the terms, if any."""
        return dict(config=self.config, **({} if self.terms is None else dict(terms=self.terms)))

    def read(self) -> Config:
        """The config with the options."""
        config = copy.deepcopy(_parse(self.config, self.terms))
        config.merge_from_dict(self.options)
        return config


@dataclass(frozen=True, eq=False)
class Stage:
    """A search over config keys for several candidates, from the best values of earlier stages.

    Args:
        name: name of the stage's folder, and its name in tables.
        candidates: names of the candidates.
        seeds: seeds of training; every trial is run with each seed, and its value is the mean.
        space: list of values or range ``dict(low=..., high=..., log=...)`` for each config key; empty for a stage that
            repeats the best values over its seeds.
        sampler: ``'grid'`` for all combinations; ``'random'`` or ``'tpe'`` for ``trials`` samples of the space.
        trials: number of samples; 0 for a grid.
        prune_after: iteration after which a trial is stopped if its validation falls below the median of earlier
            trials; None for no pruning.

    Example:
        >>> Stage('tune', ('cwd',), seeds=(0,), space={'lr': [0.1, 0.2]}).trial_values()
        [{'lr': 0.1}, {'lr': 0.2}]
    """

    name: str
    candidates: tuple[str, ...]
    seeds: tuple[int, ...]
    space: dict[str, Any] = field(default_factory=dict)
    sampler: str = 'grid'
    trials: int = 0
    prune_after: int | None = None

    def trial_values(self) -> list[dict]:
        """The values of each trial; empty dicts if a sampler chooses them."""
        if self.sampler != 'grid':
            return [{} for _ in range(self.trials)]
        return [dict(zip(self.space, values)) for values in itertools.product(*self.space.values())]


@dataclass(frozen=True)
class Sweep:
    """A whole sweep file.

    Args:
        name: name of the sweep, unique in its database.
        work_dir: folder of all runs.
        metric: name of the metric in the log of the validation; greater is better.
        budget: ``dict(kind='iterations', 'epochs' or 'seconds', value=...)`` of every run.
        candidates: candidates by name.
        stages: stages in order.
        cache: encodings and number of views of stored teacher outputs, which the candidates share; None for teachers
            that run in every training.

    Example:
        >>> stage = Stage('tune', ('cwd',), seeds=(0,))
        >>> candidates = {'cwd': Candidate('cwd', 'cwd.py')}
        >>> sweep = Sweep('study', 'work', 'mIoU', dict(kind='epochs', value=1), candidates, (stage,))
        >>> list(sweep.active_candidates)
        ['cwd']
    """

    name: str
    work_dir: str
    metric: str
    budget: dict
    candidates: dict[str, Candidate]
    stages: tuple[Stage, ...]
    cache: dict[str, Any] | None = None

    @property
    def active_candidates(self) -> dict[str, Candidate]:
        """The candidates that take part in a stage."""
        named = {name for stage in self.stages for name in stage.candidates}
        return {name: candidate for name, candidate in self.candidates.items() if name in named}

    def sources(self, stage: Stage, candidate: str) -> list[tuple[Stage, str]]:
        """The studies whose best values a candidate uses in a stage; later studies override earlier ones."""
        found = [source for parent in self.candidates[candidate].inherit for source in self.sources(stage, parent)]
        earlier = self.stages[: self.stages.index(stage)]
        found += [(before, candidate) for before in earlier if candidate in before.candidates]
        return list(dict.fromkeys(found))


def load_sweep(path: str, options: dict[str, Any] | None = None) -> Sweep:
    """Read a sweep file, which is an ordinary MMEngine config and may inherit.

    Its keys are those of :class:`Sweep`; ``seeds``, for stages without own seeds; and ``options``, for all candidates.
    Keys that start with an underscore are ignored.

    Args:
        path: path of the file, or ``package::...``.
        options: changes to the file, by dotted key.

    Raises:
        FileNotFoundError: if the file, or the config of a candidate, does not exist.
        ValueError: if a key is missing, unknown or contradictory; the message is one line and names the key.
    """
    config = read_config(path)
    config.merge_from_dict(options or {})
    content = {key: value for key, value in config._cfg_dict.to_dict().items() if not key.startswith('_')}
    keys = {'name', 'work_dir', 'metric', 'seeds', 'budget', 'candidates', 'stages', 'options', 'cache'}
    _check_keys('the sweep file', content, keys, {'name', 'seeds', 'budget', 'candidates', 'stages'})
    common = flatten(content.get('options', {}))
    candidates = {name: _candidate(name, value, common) for name, value in content['candidates'].items()}
    for candidate in candidates.values():
        _check_inheritance(candidate, candidates)
    sweep = Sweep(
        name=_name('name', content['name']),
        work_dir=content.get('work_dir') or f'work_dirs/{content["name"]}',
        metric=content.get('metric', 'mIoU'),
        budget=_budget(content['budget']),
        candidates=candidates,
        stages=tuple(_stage(stage, content['seeds'], candidates) for stage in content['stages']),
        cache=_cache(content.get('cache')),
    )
    names = [stage.name for stage in sweep.stages]
    if not names or len(set(names)) < len(names):
        raise ValueError(f'stages must be at least one, with different names, but are {names}')
    _check_configs(sweep)
    if sweep.cache is not None:
        check_sharing(sweep)
    return sweep


def flatten(options: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested options by dotted key.

    Example:
        >>> flatten(dict(optimizer=dict(lr=0.1), amp=True))
        {'optimizer.lr': 0.1, 'amp': True}
    """
    flat: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f'{prefix}{key}.'))
        else:
            flat[f'{prefix}{key}'] = value
    return flat


@functools.cache
def _parse(config: str, terms: str | None) -> Config:
    """Cached, because MMEngine reads fifty metafiles for every base of the form ``mmseg::...``."""
    return read_setup(config, terms)


def _candidate(name: str, value: Any, common: dict[str, Any]) -> Candidate:
    value = dict(config=value) if isinstance(value, str) else value
    _check_keys(f'candidates.{name}', value, {'config', 'terms', 'options', 'inherit'}, {'config'})
    inherit = value.get('inherit', ())
    return Candidate(
        name=_name('candidates', name),
        config=value['config'],
        options={**common, **flatten(value.get('options', {}))},
        inherit=(inherit,) if isinstance(inherit, str) else tuple(inherit),
        terms=value.get('terms'),
    )


def _stage(value: dict, seeds: Sequence[int], candidates: dict[str, Candidate]) -> Stage:
    key = f'stages.{value.get("name", "?")}'
    _check_keys(
        key, value, {'name', 'candidates', 'seeds', 'space', 'sampler', 'trials', 'prune_after'}, {'name', 'candidates'}
    )
    seeds = value.get('seeds', seeds)
    if not isinstance(seeds, (list, tuple)) or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f'{key}: seeds must be a list of different numbers, at least one, but is {seeds!r}')
    unknown = [name for name in value['candidates'] if name not in candidates]
    if unknown or not value['candidates']:
        raise ValueError(f'{key}.candidates must name some of {", ".join(candidates)}, but is {value["candidates"]!r}')
    stage = Stage(
        name=_name('stages', value['name']),
        candidates=tuple(value['candidates']),
        seeds=tuple(seeds),
        space=value.get('space', {}),
        sampler=value.get('sampler', 'grid'),
        trials=value.get('trials', 0),
        prune_after=value.get('prune_after'),
    )
    if stage.sampler not in SAMPLERS:
        raise ValueError(f'{key}.sampler must be one of {", ".join(SAMPLERS)}, but is {stage.sampler!r}')
    if (stage.sampler == 'grid') == (stage.trials > 0):
        raise ValueError(
            f'{key}.trials must be set for random and tpe, and only for them, but is {stage.trials} with '
            f'sampler={stage.sampler!r}'
        )
    if stage.prune_after is not None and len(stage.seeds) > 1:
        raise ValueError(
            f'{key}.prune_after needs a stage with one seed, but seeds is {list(stage.seeds)}; set seeds=[0]'
        )
    for name, choice in stage.space.items():
        _check_choice(f'{key}.space: {name}', choice, stage.sampler)
    return stage


def _check_choice(key: str, choice: Any, sampler: str) -> None:
    if isinstance(choice, dict):
        _check_keys(key, choice, {'low', 'high', 'log'}, {'low', 'high'})
        if sampler == 'grid':
            raise ValueError(
                f'{key} must be a list for a grid, but is a range; list the values, or set sampler and trials'
            )
        if not choice['low'] < choice['high'] or choice.get('log') and choice['low'] <= 0:
            raise ValueError(f'{key} must have low < high, and low > 0 with log=True, but is {choice}')
    elif (
        not isinstance(choice, (list, tuple))
        or not choice
        or not all(value is None or isinstance(value, (bool, int, float, str)) for value in choice)
    ):
        raise ValueError(f'{key} must be a list of numbers or words, or dict(low=..., high=...), but is {choice!r}')


def _budget(value: dict) -> dict:
    _check_keys('budget', value, {'kind', 'value'}, {'kind', 'value'})
    if value['kind'] not in KINDS or not value['value'] > 0:
        raise ValueError(f'budget must have a kind out of {", ".join(KINDS)} and a value > 0, but is {value}')
    return value


def _cache(value: dict | None) -> dict | None:
    if value is None:
        return None
    _check_keys('cache', value, {'views', 'logits', 'features'}, {'views'})
    settings = dict(dict(logits='float16', features='float16'), **value)
    if type(settings['views']) is not int or settings['views'] < 1:
        raise ValueError(f'cache.views must be a number of views >= 1, but is {settings["views"]!r}')
    for name in ('logits', 'features'):
        try:
            encoding(str(settings[name]), MANY_CLASSES)
        except ValueError as error:
            raise ValueError(f'cache.{name}: {error}') from None
    return settings


def _check_inheritance(candidate: Candidate, candidates: dict[str, Candidate], below: tuple[str, ...] = ()) -> None:
    for parent in candidate.inherit:
        if parent not in candidates:
            raise ValueError(
                f'candidates.{candidate.name}.inherit must name some of {", ".join(candidates)}, but names {parent}'
            )
        if parent in (*below, candidate.name):
            path = ', '.join((*below, candidate.name))
            raise ValueError(
                f'candidates.{parent}.inherit must have no circle, but leads back through {path}; remove one of them'
            )
        _check_inheritance(candidates[parent], candidates, (*below, candidate.name))


def _check_configs(sweep: Sweep) -> None:
    """Check that the candidates accept other iterations, and other values at the keys of the space."""
    for name, candidate in sweep.active_candidates.items():
        config = candidate.read()
        try:
            stretch(config, 1)
        except ValueError as error:
            raise ValueError(f'candidates.{name}: {error}') from None
        as_arguments(candidate.options)
        _check_run(sweep, candidate, copy.deepcopy(config))
        for stage in sweep.stages:
            for key, choice in stage.space.items() if name in stage.candidates else ():
                for value in choice if isinstance(choice, (list, tuple)) else ():
                    as_arguments({key: value})
                # A key without a parent is a typo, which MMEngine would accept as a new setting.
                parent = key.rpartition('.')[0]
                if parent and not isinstance(value_at(config, parent), (dict, list, tuple)):
                    known = flatten(config._cfg_dict.to_dict())
                    near = difflib.get_close_matches(key, known, n=1)
                    raise ValueError(
                        f'stages.{stage.name}.space: {candidate.config} has no {parent}'
                        + (f'; did you mean {near[0]}?' if near else f'; remove {name} from this stage')
                    )


def _check_run(sweep: Sweep, candidate: Candidate, config: Config) -> None:
    """Check that the runs of a candidate can succeed and log the metric where the sweep reads it."""
    if sweep.budget['kind'] == 'iterations':
        config.merge_from_dict(stretch(config, int(sweep.budget['value'])))
    key = f'candidates.{candidate.name}'
    refusals = check_config(config).refusals
    if refusals:
        raise ValueError(f'{key}: {refusals[0]}')
    names = metric_names(config)
    if config.get('val_evaluator') is None:
        raise ValueError(
            f'{key}: a sweep needs {sweep.metric} of the validation, but {candidate.config} has no val_evaluator; set '
            'val_dataloader, val_cfg and val_evaluator'
        )
    if names.complete and not names.may_hold(sweep.metric):
        raise ValueError(
            f'metric is {sweep.metric!r}, but the validation of {key} logs {", ".join(names.names)}; set metric to one '
            f'of them, or change val_evaluator of {candidate.config}'
        )
    problem = scalars_problem(config)
    if problem:
        raise ValueError(f'{key}: a sweep reads the scalars.json of its runs, but {problem}')


def scalars_problem(config: Config) -> str:
    """The reason why a run would not log its validations in ``<work_dir>/<time>/vis_data/scalars.json``, or ''.

    Args:
        config: config of a training by iterations.
    """
    logger = (config.get('default_hooks') or {}).get('logger', {})
    if logger is None:
        return 'default_hooks.logger is None, so nothing is logged; remove this setting'
    if logger.get('log_metric_by_epoch', True):
        return 'default_hooks.logger.log_metric_by_epoch=True logs every validation with step 0; set it to False'
    visualizer = config.get('visualizer')
    if visualizer is None:
        return ''  # MMEngine's default
    backends = visualizer.get('vis_backends') or []
    backends = backends if isinstance(backends, (list, tuple)) else [backends]
    kinds = [VISBACKENDS.get(each['type']) if isinstance(each['type'], str) else each['type'] for each in backends]
    local = [each for each, kind in zip(backends, kinds) if kind is not None and issubclass(kind, LocalVisBackend)]
    if not local:
        return "visualizer.vis_backends has no dict(type='LocalVisBackend'), which writes this file; add one"
    if local[0].get('scalar_save_file', SCALARS) != SCALARS:
        return f'visualizer.vis_backends has scalar_save_file={local[0].scalar_save_file}; remove this setting'
    if 'save_dir' in visualizer or 'save_dir' in local[0]:
        return 'visualizer has its own save_dir; remove this setting'
    return ''


def _check_keys(key: str, value: Any, known: set, required: set) -> None:
    if not isinstance(value, dict):
        raise ValueError(f'{key} must be a dict with the keys {", ".join(sorted(known))}, but is {value!r}')
    wrong = sorted(required - value.keys()) + sorted(value.keys() - known)
    if wrong:
        needs, may = (', '.join(sorted(names)) for names in (required, known - required))
        raise ValueError(f'{key} needs {needs}, and may have {may}; missing or unknown: {", ".join(wrong)}')


def _name(key: str, name: str) -> str:
    if not re.fullmatch(r'[\w.-]+', name):
        raise ValueError(
            f'{key}: a name is also a folder, so it must have only letters, digits, _, - and ., but is {name!r}'
        )
    return name
