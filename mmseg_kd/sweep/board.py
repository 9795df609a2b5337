"""Where a sweep stands: all its searches, and what each waits for."""

import statistics
from typing import Any

from ..io.tables import markdown_table
from .claims import Claims
from .plan import Sweep
from .search import Search, runs


class Board:
    """All searches of a sweep.

    Args:
        sweep: to run.
        database: Optuna's storage.
        costs: ``iterations`` and ``step_seconds`` of each candidate.
    """

    def __init__(self, sweep: Sweep, database: Any, costs: dict[str, dict]) -> None:
        self.sweep, self.costs = sweep, costs
        self._by_name = {
            (stage.name, candidate): Search(sweep, stage, candidate, database)
            for stage in sweep.stages
            for candidate in stage.candidates
        }

    @property
    def searches(self) -> list[Search]:
        """In the order of stages and candidates."""
        return list(self._by_name.values())

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return all(search.over or self.left_out(search) for search in self.searches)

    def open(self, claims: Claims) -> None:
        """Write all searches into the database, or join them there."""
        for search in self.searches:
            stage, candidate = search.stage, self.sweep.candidates[search.candidate]
            search.open(
                dict(
                    config=candidate.config,
                    options=candidate.options,
                    space=stage.space,
                    sampler=stage.sampler,
                    trials=stage.trials,
                    seeds=stage.seeds,
                    prune_after=stage.prune_after,
                    metric=self.sweep.metric,
                ),
                claims,
            )

    def retry(self, claims: Claims) -> int:
        """Queue again what has failed; the number of runs."""
        return sum(search.retry(claims) for search in self.searches)

    def refresh(self) -> None:
        """Read what can have changed, and judge what a worker left between the last run of a trial and the verdict."""
        for search in self.searches:
            if not search.over and self.ready(search):
                search.refresh()
                if any([search.finish(trial) for trial in search.trials.values()]):  # noqa: C419  every one must be finished
                    search.refresh()

    def ready(self, search: Search) -> bool:
        """Whether all is known that it starts from."""
        return all(source.over for source in self._sources(search)) and not self.left_out(search)

    def left_out(self, search: Search) -> bool:
        """Whether it would start from a search that ended without a success."""
        return any(self.left_out(source) or source.over and source.best is None for source in self._sources(search))

    def inherited(self, search: Search) -> dict[str, Any]:
        """The best values that it starts from."""
        return {key: value for source in self._sources(search) for key, value in source.best.params.items()}

    def count(self) -> tuple[int, int, float | None]:
        """Runs that are over, runs in all, and the seconds that one worker needs for the others, if that is known."""
        paces = {name: self._pace(name) for name in self.costs}
        known = [pace for pace in paces.values() if pace]
        done = total = 0
        left: float | None = 0.0
        for search in self.searches:
            if self.left_out(search):
                continue
            count = sum(len(runs(trial)) for trial in search.trials.values())
            missing = len(search.trials) * len(search.stage.seeds) - count
            done, total = done + count, total + count + missing
            if missing:
                pace = paces[search.candidate] or (statistics.mean(known) if known else None)
                iterations = self.costs[search.candidate]['iterations']
                left = None if pace is None or left is None else left + missing * iterations * pace
        return done, total, left

    def table(self) -> str:
        """The best values and results of each stage and candidate, what training cost, and what failed."""
        rows = [('stage/candidate', self.sweep.metric, 'trials', 'best values')]
        rows += [(search.key, *self._verdict(search)) for search in self.searches]
        costs = [('candidate', 'iterations', 'seconds per step', 'seconds of all steps')]
        for name, cost in self.costs.items():
            step = cost['step_seconds']
            seconds = ('-', '-') if step is None else (f'{step:.3g}', f'{cost["iterations"] * step:.4g}')
            costs.append((name, str(cost['iterations']), *seconds))
        failures = [
            f'{search.key}/{point}_seed{seed}: {run["error"]}'
            for search in self.searches
            for point, trial in search.trials.items()
            for seed, run in runs(trial).items()
            if run['state'] == 'failed'
        ]
        return '\n\n'.join(
            [markdown_table(rows), markdown_table(costs)] + (['failed:\n' + '\n'.join(failures)] if failures else [])
        )

    def _sources(self, search: Search) -> list[Search]:
        return [
            self._by_name[stage.name, candidate]
            for stage, candidate in self.sweep.sources(search.stage, search.candidate)
        ]

    def _pace(self, candidate: str) -> float | None:
        """Seconds of an iteration, of runs that were never interrupted if there are such, else as measured."""
        seconds = [
            run['seconds']
            for search in self.searches
            if search.candidate == candidate
            for trial in search.trials.values()
            for run in runs(trial).values()
            if run['state'] == 'complete' and run['seconds']
        ]
        cost = self.costs[candidate]
        return statistics.mean(seconds) / cost['iterations'] if seconds else cost['step_seconds']

    def _verdict(self, search: Search) -> tuple[str, str, str]:
        if self.left_out(search):
            return '-', '-', 'left out, since a search before had no success'
        states = [trial.state.name for trial in search.trials.values()]
        counts = ', '.join(
            [str(len(states))]
            + [
                f'{states.count(state)} {word}'
                for state, word in (('FAIL', 'failed'), ('PRUNED', 'pruned'))
                if state in states
            ]
        )
        best = search.best
        if best is None:
            return '-', counts, '-'
        values = [runs(best)[seed]['value'] for seed in search.stage.seeds]
        spread = f' ± {statistics.stdev(values):.2f}' if len(values) > 1 else ''
        inherited = self.inherited(search)
        fixed = search.fixed(inherited)
        params = best.params if search.stage.space else fixed
        said = [f'{key}={value}{_at_the_edge(value, search.stage.space.get(key))}' for key, value in params.items()]
        note = '' if fixed == inherited else '; begun before a repeated run of an earlier stage gave better values'
        return f'{statistics.mean(values):.2f}{spread}', counts, (', '.join(said) or '-') + note


def _at_the_edge(value: Any, choice: Any) -> str:
    """A best value at the end of a list says that the list should go on: a candidate may be badly tuned."""
    numbers = choice if isinstance(choice, (list, tuple)) else []
    if len(numbers) < 3 or not all(isinstance(number, (int, float)) for number in numbers):
        return ''
    return ' (the smallest tried)' if value == min(numbers) else ' (the largest tried)' if value == max(numbers) else ''
