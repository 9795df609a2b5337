"""Stored teacher outputs of a sweep: made once, shared by the candidates, and counted once."""

import dataclasses
import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from ..cache import CacheCost, TeacherCache, cache_cost
from ..distillers.cached_teacher import plain_facts
from ..engine.launch import prepare_launch
from ..engine.teacher_cache import Request, cache_obstacle, make_cache, stored_paths
from ..io.configs import preprocessors
from ..io.progress import duration
from ..io.safe_pickle import UnsafeFileError
from .leases import Lease, LeaseLost, Leases
from .other_process import OtherProcessError, call_in_other_process

if TYPE_CHECKING:
    from .plan import Candidate, Sweep

FOLDER = 'cache'  # in the work directory of a sweep
# Changes of these keys, and of what a term reads in the teacher, change what is stored.
STORED = (
    'model.teacher',
    'train_dataloader.dataset',
    'data_preprocessor',
    'model.data_preprocessor',
    'model.student.data_preprocessor',
)
READ = re.compile(r'model\.((unlabeled_)?terms\.[^.]+\.teacher(\.|$)|(labels_from|mix|type)$)')


@dataclasses.dataclass(frozen=True)
class SharedCache:
    """One cache of a sweep.

    Args:
        number: number of the cache in the sweep.
        folder: folder of the cache.
        key: digest of the settings on which the teacher's outputs depend.
        paths: paths in the teacher that are stored.
        candidates: names of the candidates that use the cache.
        settings: ``views`` and the encodings ``logits`` and ``features``.

    Example:
        >>> settings = dict(views=10, logits='float16', features='float16')
        >>> cache = SharedCache(0, 'work_dirs/toy/cache/0', '5b1c', ('logits',), ('pi', 'cwd'), settings)
        >>> cache.complete
        False
        >>> str(cache)
        'cache 0: 10 views of each training image, logits, for pi, cwd; work_dirs/toy/cache/0'
    """

    number: int
    folder: str
    key: str
    paths: tuple[str, ...]
    candidates: tuple[str, ...]
    settings: dict[str, Any]

    def __str__(self) -> str:
        return (
            f'cache {self.number}: {self.settings["views"]} views of each training image, {", ".join(self.paths)}, '
            f'for {", ".join(self.candidates)}; {self.folder}'
        )

    @property
    def complete(self) -> bool:
        """Whether all views are stored."""
        try:
            return TeacherCache(self.folder).views >= self.settings['views']
        except FileNotFoundError:
            return False

    @property
    def cost(self) -> CacheCost:
        """Bytes, and seconds of all processes that made it."""
        return cache_cost(self.folder)


def check_sharing(sweep: 'Sweep') -> None:
    """Check that a sweep with ``cache`` can make one, and searches nothing on which it depends.

    Args:
        sweep: sweep with ``cache``.

    Raises:
        ValueError: if not; the message names the key.
    """
    if any(stage.name == FOLDER for stage in sweep.stages):
        raise ValueError(
            f'stages: no stage may be named {FOLDER!r}, which is the folder of the stored teacher outputs; rename it'
        )
    obstacles = {name: cache_obstacle(candidate.read()) for name, candidate in sweep.active_candidates.items()}
    if all(obstacles.values()):
        reasons = ', '.join(f'{name} ({reason})' for name, reason in obstacles.items())
        raise ValueError(f'cache is set, but no candidate can use it: {reasons}; remove cache')
    for stage in sweep.stages:
        for name in stage.candidates:
            used = [] if obstacles[name] else [stage, *(earlier for earlier, _ in sweep.sources(stage, name))]
            for source, key in ((each, key) for each in used for key in each.space):
                if READ.match(key) or any(f'{key}.'.startswith(f'{part}.') for part in STORED):
                    raise ValueError(
                        f'stages.{source.name}.space: {key} changes what the teacher gives, but cache stores it once '
                        f'for {name}; write a candidate for each value, or remove cache'
                    )


def shared_caches(sweep: 'Sweep', recorded: Sequence[dict[str, Any]] = ()) -> list[SharedCache]:
    """The caches of a sweep, by number: one for all candidates whose teachers give the same, with all that they read.

    Args:
        sweep: sweep with ``cache``.
        recorded: ``key`` and ``paths`` of the caches of a sweep that was started already. They do not change; a new
            candidate that reads something else has a new cache.
    """
    found = [dict(one, candidates=[]) for one in recorded]
    for name, candidate in sweep.active_candidates.items():
        config = candidate.read()
        if cache_obstacle(config):
            continue
        key, paths = _answers(config), stored_paths(config)
        fitting = (
            one
            for number, one in enumerate(found)
            if one['key'] == key and (number >= len(recorded) or set(paths) <= set(one['paths']))
        )
        home = next(fitting, None)
        if home is None:
            home = dict(key=key, paths=[], candidates=[])
            found.append(home)
        home['paths'] = list(dict.fromkeys([*home['paths'], *paths]))
        home['candidates'].append(name)
    return [
        SharedCache(
            number,
            str(Path(sweep.work_dir, FOLDER, str(number))),
            one['key'],
            tuple(one['paths']),
            tuple(one['candidates']),
            dict(sweep.cache or {}),
        )
        for number, one in enumerate(found)
    ]


def with_caches(sweep: 'Sweep', caches: Sequence[SharedCache]) -> 'Sweep':
    """The sweep whose candidates read stored teacher outputs.

    Args:
        sweep: sweep with ``cache``.
        caches: caches of the sweep.
    """
    candidates = dict(sweep.candidates)
    for cache in caches:
        for name in cache.candidates:
            before = candidates[name]
            teacher = before.read().model.teacher
            members = [f'.{i}' for i in range(len(teacher))] if isinstance(teacher, list) else ['']
            options = {f'model.teacher{member}.cache': cache.folder for member in members}
            candidates[name] = dataclasses.replace(before, options={**before.options, **options})
    return dataclasses.replace(sweep, candidates=candidates)


def without_cache(sweep: 'Sweep') -> str:
    """A line that names the candidates that run without a cache, and why; '' if there are none."""
    reasons = {name: cache_obstacle(candidate.read()) for name, candidate in sweep.active_candidates.items()}
    told = ', '.join(f'{name} ({reason})' for name, reason in reasons.items() if reason)
    return f'without a cache: {told}' if told else ''


def fix_caches(sweep: 'Sweep', database: Any, leases: Leases) -> list[SharedCache]:
    """The caches of a sweep, determined once for all workers and restarts.

    Args:
        sweep: sweep.
        database: Optuna's storage.
        leases: leases of the sweep; they let one worker determine.

    Raises:
        ValueError: if the sweep was started with another ``cache``.
        UnsafeFileError: if the database holds something else than caches.
    """
    import optuna

    study = optuna.create_study(study_name=sweep.name, storage=database, load_if_exists=True)
    lease = leases.wait(f'{sweep.name}/{FOLDER}')
    try:
        known = study.user_attrs
        # The budget is written after the cache.
        started = 'cache' in known or 'budget' in known
        if started and known.get('cache') != sweep.cache:
            raise ValueError(
                f'{sweep.name} was started with cache = {known.get("cache")}, but now has {sweep.cache}; '
                'change the name and work_dir of the sweep'
            )
        if sweep.cache is None:
            return []
        recorded = known.get('caches', [])
        _check_recorded(recorded)
        caches = shared_caches(sweep, recorded)
        study.set_user_attr('cache', sweep.cache)
        study.set_user_attr('caches', [dict(key=cache.key, paths=cache.paths) for cache in caches])
        return [cache for cache in caches if cache.candidates]
    finally:
        lease.release()


def make_caches(
    sweep: 'Sweep',
    caches: Sequence[SharedCache],
    leases: Leases,
    heartbeat: float,
    poll: float,
    say: Callable[[str], None],
) -> None:
    """Make what is missing of the caches, and wait for those that other workers make.

    Args:
        sweep: sweep with ``cache``.
        caches: caches of the sweep.
        leases: leases of the sweep; they let one worker make a cache.
        heartbeat: seconds between two heartbeats.
        poll: seconds between two checks.
        say: function that prints a line.

    Raises:
        RuntimeError: if a cache cannot be made.
    """
    missing, waits = [cache for cache in caches if not cache.complete], False
    while missing:
        leases.refresh()
        for cache in missing:
            lease = leases.acquire(f'{sweep.name}/{FOLDER}/{cache.number}')
            if lease is not None:
                try:
                    if not cache.complete:  # another worker may have completed it
                        say(str(cache))
                        _make(cache, sweep.candidates[cache.candidates[0]], lease, heartbeat, poll, say)
                except LeaseLost as error:
                    say(str(error))
                finally:
                    lease.release()
                break
        else:
            if not waits:
                say(f'waiting for other workers, which make {", ".join(f"cache {cache.number}" for cache in missing)}')
            waits = True
            time.sleep(2 * poll)
        missing = [cache for cache in missing if not cache.complete]


def make_here(work: tuple['Candidate', Request], say: Callable[[str], None]) -> None:
    """Make a cache in this process.

    Args:
        work: candidate, and what its cache shall hold.
        say: function that is called with lines for the user.
    """
    candidate, request = work
    config = candidate.read()
    prepare_launch(config)
    make_cache(config, request, say)


def _make(
    cache: SharedCache, candidate: 'Candidate', lease: Lease, heartbeat: float, poll: float, say: Callable[[str], None]
) -> None:
    """Make a cache in another process; a killed one continues at a restart."""
    settings = cache.settings
    request = Request(
        cache.folder, settings['views'], settings['logits'], settings['features'], paths=tuple(cache.paths)
    )
    log = Path(f'{cache.folder}.log')
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        call_in_other_process(make_here, (candidate, request), log, say, lease, heartbeat, poll)
    except OtherProcessError as error:
        raise RuntimeError(
            f'cache {cache.number} of {", ".join(cache.candidates)} is not complete, and the same command continues '
            f'it ({error})'
        ) from None
    cost = cache.cost
    say(f'cache {cache.number} is complete: {cost.bytes / 1e6:.3g} MB, made in {duration(cost.seconds)}')


def _answers(config: Config) -> str:
    """A digest of the settings on which the teacher's outputs depend."""
    facts = {
        **plain_facts(config.model.teacher, 'teacher'),
        **plain_facts(config.train_dataloader.dataset, 'dataset'),
        **plain_facts(preprocessors(config), 'preprocessors'),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _check_recorded(recorded: Any) -> None:
    plain = isinstance(recorded, list) and all(
        isinstance(one, dict)
        and one.keys() == {'key', 'paths'}
        and isinstance(one['key'], str)
        and all(isinstance(path, str) for path in one['paths'])
        for one in recorded
    )
    if not plain:
        raise UnsafeFileError(
            f'caches in the database of the sweep must have key and paths, but are {recorded!r}; remove the database'
        )
