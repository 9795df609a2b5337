"""The state of a sweep: all its studies, and the studies that each one starts from."""

import statistics
from collections.abc import Sequence
from typing import Any

from ..io.progress import duration
from ..io.tables import markdown_table
from .caches import SharedCache
from .leases import Leases
from .plan import Sweep
from .recorded_values import check_values
from .study import Study, runs


class Board:
    """All studies of a sweep.

    Args:
        sweep: sweep to run.
        database: Optuna's storage.
        costs: ``iterations`` and ``step_seconds`` of each candidate.
        caches: stored teacher outputs that candidates share.

    Example:
        >>> from mmseg_kd.sweep.plan import Candidate, Stage
        >>> stage = Stage('tune', ('cwd', 'pi'), seeds=(0,))
        >>> candidates = {name: Candidate(name, f'{name}.py') for name in ('cwd', 'pi')}
        >>> sweep = Sweep('study', 'work', 'mIoU', dict(kind='iterations', value=100), candidates, (stage,))
        >>> board = Board(sweep, None, {})
        >>> [study.key for study in board.studies]
        ['tune/cwd', 'tune/pi']
    """

    def __init__(self, sweep: Sweep, database: Any, costs: dict[str, dict], caches: Sequence[SharedCache] = ()) -> None:
        self.sweep, self.costs, self.caches = sweep, costs, caches
        self._by_name = {
            (stage.name, candidate): Study(sweep, stage, candidate, database)
            for stage in sweep.stages
            for candidate in stage.candidates
        }

    @property
    def studies(self) -> list[Study]:
        """All studies, in the order of stages and candidates."""
        return list(self._by_name.values())

    @property
    def finished(self) -> bool:
        """Whether every study is finished or skipped."""
        return all(study.finished or self.skipped(study) for study in self.studies)

    def open(self, leases: Leases) -> None:
        """Create all studies in the database, or join them there."""
        for study in self.studies:
            stage, candidate = study.stage, self.sweep.candidates[study.candidate]
            study.open(
                dict(
                    **candidate.source,
                    options=candidate.options,
                    space=stage.space,
                    sampler=stage.sampler,
                    trials=stage.trials,
                    seeds=stage.seeds,
                    prune_after=stage.prune_after,
                    metric=self.sweep.metric,
                ),
                leases,
            )

    def retry(self, leases: Leases) -> int:
        """Queue all failed runs again; the number of runs."""
        return sum(study.retry(leases) for study in self.studies)

    def refresh(self) -> None:
        """Read the unfinished studies, and finish trials whose worker stopped after the last run."""
        for study in self.studies:
            if not study.finished and self.ready(study):
                study.refresh()
                if any([study.finish(trial) for trial in study.trials.values()]):  # noqa: C419  finish every trial
                    study.refresh()

    def ready(self, study: Study) -> bool:
        """Whether all studies that this one starts from are finished."""
        return all(source.finished for source in self._sources(study)) and not self.skipped(study)

    def skipped(self, study: Study) -> bool:
        """Whether the study starts from one that finished without a complete trial, or was skipped itself."""
        return any(self.skipped(source) or source.finished and source.best is None for source in self._sources(study))

    def inherited(self, study: Study) -> dict[str, Any]:
        """The best values of the studies that this one starts from."""
        trials = (source.best for source in self._sources(study))
        return {key: value for trial in trials if trial for key, value in trial.params.items()}

    def fixed(self, study: Study) -> dict[str, Any]:
        """The values from earlier stages that all trials of a study share.

        Raises:
            UnsafeFileError: If the database holds other keys or values than the earlier stages may choose.
        """
        values = study.fixed(self.inherited(study))
        check_values(study.key, values, [source.stage.space for source in self._sources(study)])
        return values

    def count(self) -> tuple[int, int, float | None]:
        """Finished runs, all runs, and the seconds that one worker needs for the rest; None if they are unknown."""
        paces = {name: self._pace(name) for name in self.costs}
        known = [pace for pace in paces.values() if pace]
        done = total = 0
        left: float | None = 0.0
        for study in self.studies:
            if self.skipped(study):
                continue
            count = sum(len(runs(trial)) for trial in study.trials.values())
            missing = len(study.trials) * len(study.stage.seeds) - count
            done, total = done + count, total + count + missing
            if missing:
                pace = paces[study.candidate] or (statistics.mean(known) if known else None)
                iterations = self.costs[study.candidate]['iterations']
                left = None if pace is None or left is None else left + missing * iterations * pace
        return done, total, left

    def table(self) -> str:
        """Parts: best values and results of each study, training cost of each candidate, caches, and failed runs."""
        rows = [('stage/candidate', self.sweep.metric, 'trials', 'best values')]
        rows += [(study.key, *self._result(study)) for study in self.studies]
        costs = [('candidate', 'iterations', 'seconds per step', 'seconds of all steps')]
        for name, cost in self.costs.items():
            step = cost['step_seconds']
            seconds = ('-', '-') if step is None else (f'{step:.3g}', f'{cost["iterations"] * step:.4g}')
            costs.append((name, str(cost['iterations']), *seconds))
        failures = [
            f'{study.key}/{index}_seed{seed}: {run["error"]}'
            for study in self.studies
            for index, trial in study.trials.items()
            for seed, run in runs(trial).items()
            if run['state'] == 'failed'
        ]
        return '\n\n'.join(
            [markdown_table(rows), markdown_table(costs), *self._cache_parts()]
            + (['failed:\n' + '\n'.join(failures)] if failures else [])
        )

    def _cache_parts(self) -> list[str]:
        """A table with the cost of each cache, and a line with that of all; nothing without caches."""
        if not self.caches:
            return []
        rows = [('cache', 'candidates', 'views', 'megabytes', 'seconds, once', 'runs', 'seconds per run')]
        seconds = size = 0.0
        for cache in self.caches:
            cost, count = cache.cost, self._planned(cache.candidates)
            seconds, size = seconds + cost.seconds, size + cost.bytes
            rows.append(
                (
                    str(cache.number),
                    ', '.join(cache.candidates),
                    str(cache.settings['views']),
                    f'{cost.bytes / 1e6:.3g}',
                    f'{cost.seconds:.4g}',
                    str(count),
                    f'{cost.seconds / count:.3g}' if count else '-',
                )
            )
        used = self._planned([name for cache in self.caches for name in cache.candidates])
        budget = self.sweep.budget
        beside = f', beside their budget of {budget["value"]:.4g} s each' if budget['kind'] == 'seconds' else ''
        return [
            markdown_table(rows),
            f'stored teacher outputs count once for the whole sweep: {duration(seconds)} and {size / 1e6:.3g} MB for '
            f'{used} runs' + (f', {seconds / used:.3g} s for each run{beside}' if used else ''),
        ]

    def _planned(self, candidates: Sequence[str]) -> int:
        """The number of runs of some candidates in all stages that are not skipped."""
        return sum(
            len(study.trials) * len(study.stage.seeds)
            for study in self.studies
            if study.candidate in candidates and not self.skipped(study)
        )

    def _sources(self, study: Study) -> list[Study]:
        return [
            self._by_name[stage.name, candidate]
            for stage, candidate in self.sweep.sources(study.stage, study.candidate)
        ]

    def _pace(self, candidate: str) -> float | None:
        """Seconds per iteration: the mean of complete runs without an interruption, or else the measured step time."""
        seconds = [
            run['seconds']
            for study in self.studies
            if study.candidate == candidate
            for trial in study.trials.values()
            for run in runs(trial).values()
            if run['state'] == 'complete' and run['seconds']
        ]
        cost = self.costs[candidate]
        return statistics.mean(seconds) / cost['iterations'] if seconds else cost['step_seconds']

    def _result(self, study: Study) -> tuple[str, str, str]:
        if self.skipped(study):
            return '-', '-', 'skipped: an earlier study has no complete trial'
        states = [trial.state.name for trial in study.trials.values()]
        counts = ', '.join(
            [str(len(states))]
            + [
                f'{states.count(state)} {word}'
                for state, word in (('FAIL', 'failed'), ('PRUNED', 'pruned'))
                if state in states
            ]
        )
        best = study.best
        if best is None:
            return '-', counts, '-'
        values = [runs(best)[seed]['value'] for seed in study.stage.seeds]
        std = f' ± {statistics.stdev(values):.2f}' if len(values) > 1 else ''
        inherited = self.inherited(study)
        fixed = self.fixed(study)
        params = best.params if study.stage.space else fixed
        shown = [f'{key}={value}{_edge_note(value, study.stage.space.get(key))}' for key, value in params.items()]
        note = '' if fixed == inherited else '; uses outdated values: an earlier stage has since found better ones'
        return f'{statistics.mean(values):.2f}{std}', counts, (', '.join(shown) or '-') + note


def _edge_note(value: Any, choice: Any) -> str:
    """A note on a best value at the end of its list: a longer list may hold a better value."""
    numbers = choice if isinstance(choice, (list, tuple)) else []
    if len(numbers) < 3 or not all(isinstance(number, (int, float)) for number in numbers):
        return ''
    return ' (the smallest tried)' if value == min(numbers) else ' (the largest tried)' if value == max(numbers) else ''
