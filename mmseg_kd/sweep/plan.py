"""What a sweep file says, checked before anything runs: candidates, stages, seeds and a budget."""

import argparse
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

from ..engine.checks import check_config
from ..engine.launch import add_arguments
from ..engine.metric_names import metric_names
from ..io.configs import read_config
from .budget import KINDS, stretch, value_at

SCALARS = 'scalars.json'
SAMPLERS = ('grid', 'random', 'tpe')


@dataclass(frozen=True)
class Candidate:
    """One way to train the student.

    Args:
        name: of its folder, and in tables.
        config: of its training, as a path or ``package::...``.
        options: what it changes in that config, by dotted key.
        inherit: the candidates whose best values it starts from, in stages that it doesn't take part in.
    """

    name: str
    config: str
    options: dict[str, Any] = field(default_factory=dict)
    inherit: tuple[str, ...] = ()

    def read(self) -> Config:
        """Its config, with its options."""
        config = copy.deepcopy(_parse(self.config))
        config.merge_from_dict(self.options)
        return config


@dataclass(frozen=True, eq=False)
class Stage:
    """A search over some keys, from the best values of the stages before.

    Args:
        name: of its folder, and in tables.
        candidates: the names of those that take part.
        seeds: of training; every trial is run with each, and judged by the mean.
        space: by config key, a list of values, or a range ``dict(low=..., high=..., log=...)``; nothing for a stage
            that repeats the best over its seeds.
        sampler: ``'grid'``, all combinations; or ``'random'`` or ``'tpe'``, which draw ``trials`` of them.
        trials: how many are drawn; unused by the grid.
        prune_after: the iteration from which a trial ends whose validation falls below the median of those before; None
            for never.
    """

    name: str
    candidates: tuple[str, ...]
    seeds: tuple[int, ...]
    space: dict[str, Any] = field(default_factory=dict)
    sampler: str = 'grid'
    trials: int = 0
    prune_after: int | None = None

    def points(self) -> list[dict]:
        """The values of each trial; empty dicts where a sampler draws them."""
        if self.sampler != 'grid':
            return [{} for _ in range(self.trials)]
        return [dict(zip(self.space, values)) for values in itertools.product(*self.space.values())]


@dataclass(frozen=True)
class Sweep:
    """A whole sweep file.

    Args:
        name: the sweep's identity in a database that several sweeps share.
        work_dir: folder of all runs.
        metric: by which runs are judged, as the validation logs it; the greater the better.
        budget: ``dict(kind='iterations', 'epochs' or 'seconds', value=...)`` of every run.
        candidates: by name.
        stages: in order.
    """

    name: str
    work_dir: str
    metric: str
    budget: dict
    candidates: dict[str, Candidate]
    stages: tuple[Stage, ...]

    @property
    def taking_part(self) -> dict[str, Candidate]:
        """The candidates of all stages."""
        named = {name for stage in self.stages for name in stage.candidates}
        return {name: candidate for name, candidate in self.candidates.items() if name in named}

    def sources(self, stage: Stage, candidate: str) -> list[tuple[Stage, str]]:
        """The searches whose best values a candidate has in a stage; where two agree on a key, the later one counts."""
        found = [source for parent in self.candidates[candidate].inherit for source in self.sources(stage, parent)]
        earlier = self.stages[: self.stages.index(stage)]
        found += [(before, candidate) for before in earlier if candidate in before.candidates]
        return list(dict.fromkeys(found))


def load_sweep(path: str, options: dict[str, Any] | None = None) -> Sweep:
    """Read a sweep file, which is an ordinary MMEngine config and may inherit.

    Its keys are those of :class:`Sweep`; ``seeds`` of the stages that have none of their own; ``options``, which all
    candidates get; and names of its own that begin with an underscore.

    Args:
        path: of the file, or ``package::...``.
        options: what to change in it, by dotted key.

    Raises:
        FileNotFoundError: if it, or the config of a candidate, doesn't exist.
        ValueError: in one line that names the key, if something is missing, unknown or contradictory.
    """
    config = read_config(path)
    config.merge_from_dict(options or {})
    said = {key: value for key, value in config._cfg_dict.to_dict().items() if not key.startswith('_')}
    keys = {'name', 'work_dir', 'metric', 'seeds', 'budget', 'candidates', 'stages', 'options'}
    _check_keys('the sweep file', said, keys, {'name', 'seeds', 'budget', 'candidates', 'stages'})
    common = flatten(said.get('options', {}))
    candidates = {name: _candidate(name, value, common) for name, value in said['candidates'].items()}
    for candidate in candidates.values():
        _check_inheritance(candidate, candidates)
    sweep = Sweep(
        name=_name('name', said['name']),
        work_dir=said.get('work_dir') or f'work_dirs/{said["name"]}',
        metric=said.get('metric', 'mIoU'),
        budget=_budget(said['budget']),
        candidates=candidates,
        stages=tuple(_stage(stage, said['seeds'], candidates) for stage in said['stages']),
    )
    names = [stage.name for stage in sweep.stages]
    if not names or len(set(names)) < len(names):
        raise ValueError(f'stages must have different names, and there must be one at least, but they are {names}')
    _check_configs(sweep)
    return sweep


def flatten(options: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested options, as a config has them, by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f'{prefix}{key}.'))
        else:
            flat[f'{prefix}{key}'] = value
    return flat


def as_arguments(options: dict[str, Any]) -> list[str]:
    """Options by dotted key as they follow ``--cfg-options``.

    Raises:
        ValueError: if a value would be read as another one.
    """
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    texts = []
    for key, value in options.items():
        text = f'{key}={_text(value)}'
        read = parser.parse_args(['config', '--cfg-options', text]).cfg_options
        if read != {key: value} or type(read[key]) is not type(value):
            raise ValueError(
                f'{key} must be a value that --cfg-options can pass on (numbers, words, lists of them), '
                f"but is {value!r}; write a config that sets it, and name that as the candidate's"
            )
        texts.append(text)
    return texts


@functools.cache
def _parse(config: str) -> Config:
    """MMEngine reads fifty metafiles for every base that is named as ``mmseg::...``."""
    return read_config(config)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        inner = ','.join(map(_text, value))
        return f'[{inner}]' if isinstance(value, list) else f'({inner})'
    return str(value)


def _candidate(name: str, value: Any, common: dict[str, Any]) -> Candidate:
    value = dict(config=value) if isinstance(value, str) else value
    _check_keys(f'candidates.{name}', value, {'config', 'options', 'inherit'}, {'config'})
    inherit = value.get('inherit', ())
    return Candidate(
        name=_name('candidates', name),
        config=value['config'],
        options={**common, **flatten(value.get('options', {}))},
        inherit=(inherit,) if isinstance(inherit, str) else tuple(inherit),
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
                f'{key} is a range, of which a grid cannot have all; list values, or set sampler and trials'
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


def _check_inheritance(candidate: Candidate, candidates: dict[str, Candidate], below: tuple[str, ...] = ()) -> None:
    for parent in candidate.inherit:
        if parent not in candidates:
            raise ValueError(
                f'candidates.{candidate.name}.inherit must name some of {", ".join(candidates)}, but names {parent}'
            )
        if parent in (*below, candidate.name):
            path = ', '.join((*below, candidate.name))
            raise ValueError(f'candidates.{parent}.inherit leads back to itself, by {path}; leave one of them out')
        _check_inheritance(candidates[parent], candidates, (*below, candidate.name))


def _check_configs(sweep: Sweep) -> None:
    """Whether candidates can be trained for other iterations, and with other values at the keys that are searched."""
    for name, candidate in sweep.taking_part.items():
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
                # A key whose parent isn't there is a slip of the pen, which MMEngine would take for a new setting.
                parent = key.rpartition('.')[0]
                if parent and not isinstance(value_at(config, parent), (dict, list, tuple)):
                    known = flatten(config._cfg_dict.to_dict())
                    near = difflib.get_close_matches(key, known, n=1)
                    raise ValueError(
                        f'stages.{stage.name}.space: {candidate.config} has no {parent}'
                        + (f'; did you mean {near[0]}?' if near else f'; leave {name} out of this stage')
                    )


def _check_run(sweep: Sweep, candidate: Candidate, config: Config) -> None:
    """Whether the runs of a candidate can end well, and leave the metric where a sweep reads it."""
    if sweep.budget['kind'] == 'iterations':
        config.merge_from_dict(stretch(config, int(sweep.budget['value'])))
    key = f'candidates.{candidate.name}'
    refusals = check_config(config).refusals
    if refusals:
        raise ValueError(f'{key}: {refusals[0]}')
    names = metric_names(config)
    if config.get('val_evaluator') is None:
        raise ValueError(
            f'{key}: runs are judged by {sweep.metric}, but {candidate.config} validates nothing; set '
            'val_dataloader, val_cfg and val_evaluator'
        )
    if names.complete and not names.may_hold(sweep.metric):
        raise ValueError(
            f'metric is {sweep.metric!r}, but validation of {key} gives {", ".join(names.names)}; name one of '
            f'them, or change val_evaluator of {candidate.config}'
        )
    problem = scalars_problem(config)
    if problem:
        raise ValueError(f'{key}: a sweep reads the scalars.json of its runs, but {problem}')


def scalars_problem(config: Config) -> str:
    """Why a run would not leave its validations in ``<work_dir>/<time>/vis_data/scalars.json``; empty if it would.

    Args:
        config: of a training by iterations.
    """
    logger = (config.get('default_hooks') or {}).get('logger', {})
    if logger is None:
        return 'default_hooks.logger is None, so that nothing is logged; leave it out'
    if logger.get('log_metric_by_epoch', True):
        return 'default_hooks.logger.log_metric_by_epoch=True gives every validation the step 0; set it to False'
    visualizer = config.get('visualizer')
    if visualizer is None:
        return ''  # MMEngine's default
    backends = visualizer.get('vis_backends') or []
    backends = backends if isinstance(backends, (list, tuple)) else [backends]
    kinds = [VISBACKENDS.get(each['type']) if isinstance(each['type'], str) else each['type'] for each in backends]
    local = [each for each, kind in zip(backends, kinds) if kind is not None and issubclass(kind, LocalVisBackend)]
    if not local:
        return "visualizer.vis_backends has no dict(type='LocalVisBackend'), which writes it; add one"
    if local[0].get('scalar_save_file', SCALARS) != SCALARS:
        return f'visualizer.vis_backends names it {local[0].scalar_save_file}; leave scalar_save_file out'
    if 'save_dir' in visualizer or 'save_dir' in local[0]:
        return 'visualizer has a save_dir of its own; leave save_dir out'
    return ''


def _check_keys(key: str, value: Any, known: set, required: set) -> None:
    if not isinstance(value, dict):
        raise ValueError(f'{key} must be a dict with {", ".join(sorted(known))}, but is {value!r}')
    wrong = sorted(required - value.keys()) + sorted(value.keys() - known)
    if wrong:
        needs, may = (', '.join(sorted(names)) for names in (required, known - required))
        raise ValueError(f'{key} needs {needs}, and may have {may}; missing or unknown: {", ".join(wrong)}')


def _name(key: str, name: str) -> str:
    if not re.fullmatch(r'[\w.-]+', name):
        raise ValueError(
            f'{key}: a name becomes a folder, so it must have letters, digits, _, - and . only, but is {name!r}'
        )
    return name
