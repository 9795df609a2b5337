"""One of the workers of a sweep: it claims a run, trains, records the result, and takes the next."""

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io.files import write_atomically
from .board import Board
from .budget import stretch
from .claims import Claim, ClaimLost, Claims
from .plan import as_arguments
from .progress import SweepProgress, duration
from .search import Search
from .training_process import TrainingProcess, killed_from_outside, prepare_resume, reached, validations

# A run that is killed so often without coming any further is taken to be at fault itself.
KILLS_IN_VAIN = 5
SECONDS_BETWEEN_SURVEYS = 5.0
# Seconds to wait for a database that doesn't answer before a result is given up.
PATIENCE = (1, 5, 30, 120, 600)


@dataclass
class Run:
    """One training of a sweep: a seed of a trial.

    Args:
        search: that it belongs to.
        point: the number of the trial.
        seed: of training.
    """

    search: Search
    point: int
    seed: int

    @property
    def name(self) -> str:
        return f'{self.search.key}/{self.point}_seed{self.seed}'

    @property
    def work(self) -> str:
        return f'{self.search.name}/{self.point}_seed{self.seed}'


@dataclass
class Outcome:
    """What came out of a run.

    Args:
        state: ``'complete'``, ``'failed'`` or ``'pruned'``.
        value: the last validation's metric.
        error: why it failed.
        seconds: that it took; None if it was interrupted.
    """

    state: str
    value: float | None = None
    error: str | None = None
    seconds: float | None = None


class Worker:
    """What one process does for a sweep.

    Args:
        board: the searches.
        trainer: the command of a training, to which config and options are appended.
        claims: shared by all workers.
        progress: where to show what goes on.
        heartbeat: seconds between two signs of life.
        poll: seconds between two looks at a training.
    """

    def __init__(
        self,
        board: Board,
        trainer: Sequence[str],
        claims: Claims,
        progress: SweepProgress,
        heartbeat: float,
        poll: float,
    ) -> None:
        self._board, self._trainer, self._claims, self._progress = board, list(trainer), claims, progress
        self._heartbeat, self._poll = heartbeat, poll
        self._work_dir = Path(board.sweep.work_dir)
        self._metric = board.sweep.metric
        self._held: dict[str, str] = {}
        self._current: Run | None = None

    def work(self) -> None:
        """Take one run after the other, until there are no more."""
        while True:
            self._patiently(self._survey)
            taken = self._take()
            if taken is not None:
                self._current, claim = taken
                try:
                    self._train(self._current, claim)
                except ClaimLost as error:
                    self._progress.event(str(error))
                finally:
                    claim.release()
                    self._current = None
            elif self._board.over:
                return
            else:
                self._draw()
                time.sleep(2 * self._poll)

    def _survey(self) -> None:
        self._board.refresh()
        self._held = self._claims.survey()
        done, total, left = self._board.count()
        self._progress.count(done, total, None if left is None else left / (1 + len(self._beside())))

    def _take(self) -> tuple[Run, Claim] | None:
        """Claim a run that nobody has, or, if all are claimed, one whose worker is dead."""
        waiting = [
            Run(search, point, seed)
            for search in self._board.searches
            if self._board.ready(search)
            for point, trial in search.trials.items()
            for seed in search.pending(trial)
        ]
        for run in sorted(waiting, key=lambda run: run.work in self._held):
            claim = self._claims.take(run.work)
            if claim is None:
                continue
            run.search.refresh()  # it may have been finished since
            if run.seed in run.search.pending(run.search.trials[run.point]):
                return run, claim
            claim.release()
        return None

    def _train(self, run: Run, claim: Claim) -> None:
        search, board = run.search, self._board
        fixed = search.fixed(board.inherited(search))
        trial = search.draw(run.point)
        candidate, cost = board.sweep.candidates[search.candidate], board.costs[search.candidate]
        record = dict(
            sweep=board.sweep.name,
            stage=search.stage.name,
            candidate=search.candidate,
            config=candidate.config,
            options=candidate.options,
            params={**fixed, **trial.params},
            seed=run.seed,
            iterations=cost['iterations'],
            budget=board.sweep.budget,
            step_seconds=cost['step_seconds'],
            state='running',
            error=None,
            miou=None,
        )
        self._progress.event(' '.join([run.name, 'begins'] + [f'{key}={value}' for key, value in trial.params.items()]))
        begin = time.monotonic()
        outcome = self._supervise(run, trial, record, claim)
        record.update(state=outcome.state, error=outcome.error, miou=outcome.value)
        # A result counts only while the run is this worker's.
        self._patiently(claim.renew)
        write_atomically(self._work_dir / run.name / 'run.json', json.dumps(record, indent=1))
        self._patiently(lambda: trial.set_user_attr(f'seed_{run.seed}', vars(outcome)))
        self._patiently(self._survey)
        result = outcome.error if outcome.state == 'failed' else f'{self._metric} {outcome.value:.2f}'
        self._progress.event(f'{run.name} {outcome.state} after {duration(time.monotonic() - begin)}: {result}')

    def _supervise(self, run: Run, trial: Any, record: dict, claim: Claim) -> Outcome:
        """Train until the end, an error or the pruner's verdict, from checkpoint to checkpoint if it is killed."""
        folder = self._work_dir / run.name
        command = self._command(record, folder)
        begin, attempts, vain, last = time.monotonic(), 0, 0, None
        while True:
            checkpoint = prepare_folder(folder, record, self._metric)
            attempts, vain = attempts + 1, vain + 1 if attempts and checkpoint == last else 0
            last = checkpoint
            with TrainingProcess(
                command + (['--resume'] if checkpoint else []), folder / 'output.log', claim.file
            ) as process:
                code = self._watch(process, run, trial, record, claim)
            values = validations(folder, self._metric)
            value = values[max(values)] if values else None
            if code is None:
                return Outcome('pruned', value)
            if code == 0 and value is not None and math.isfinite(value):
                whole = attempts == 1 and checkpoint is None
                return Outcome('complete', value, seconds=time.monotonic() - begin if whole else None)
            if code == 0:
                return Outcome(
                    'failed', error=f'validation must log {self._metric}, but logged {value}; set val_evaluator'
                )
            if not killed_from_outside(code):
                return Outcome('failed', error=process.last_words())
            if vain == KILLS_IN_VAIN:
                return Outcome(
                    'failed',
                    error=f'killed {vain + 1} times without coming further (exit code {code}); is memory short?',
                )
            self._progress.event(f'{run.name} was killed (exit code {code}); it goes on')

    def _command(self, record: dict, folder: Path) -> list[str]:
        config = self._board.sweep.candidates[record['candidate']].read()
        options = {
            **record['options'],
            **stretch(config, record['iterations']),
            **record['params'],
            'randomness.seed': record['seed'],
        }
        return [*self._trainer, record['config'], '--work-dir', str(folder), '--cfg-options', *as_arguments(options)]

    def _watch(self, process: TrainingProcess, run: Run, trial: Any, record: dict, claim: Claim) -> int | None:
        """Wait for the end of a training; its exit code, or None if it was pruned."""
        folder = self._work_dir / run.name
        # With several seeds, what one run validates is no intermediate value of the trial.
        reported = set(run.search.trials[run.point].intermediate_values) if len(run.search.stage.seeds) == 1 else None
        renewed = surveyed = time.monotonic()
        while True:
            code = process.wait(self._poll)
            if time.monotonic() - renewed > self._heartbeat:
                self._patiently(claim.renew)
                renewed = time.monotonic()
            values = validations(folder, self._metric)
            for step in sorted(values.keys() - reported) if reported is not None else ():
                self._patiently(lambda: trial.report(values[step], step))
                reported.add(step)
                if step < record['iterations'] and trial.should_prune():
                    return None
            if code is not None:
                return code
            if time.monotonic() - surveyed > SECONDS_BETWEEN_SURVEYS:
                self._patiently(self._survey)
                surveyed = time.monotonic()
            note = f', {self._metric} {values[max(values)]:.2f}' if values else ''
            self._draw(reached(folder), note)

    def _beside(self) -> list[tuple[str, str]]:
        """The runs of other workers, and their machines."""
        prefix, mine = f'{self._board.sweep.name}/', self._current.work if self._current else None
        return [
            (work[len(prefix) :], machine)
            for work, machine in self._held.items()
            if work.startswith(prefix) and '_seed' in work and work != mine
        ]

    def _draw(self, iteration: int = 0, note: str = '') -> None:
        run = self._current
        iterations = self._board.costs[run.search.candidate]['iterations'] if run else 1
        self._progress.draw(run.name if run else '', iteration, iterations, note, self._beside())

    def _patiently(self, action: Callable[[], None]) -> None:
        """Do something that needs the database, which may be away for a while."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import OperationalError

        for seconds in PATIENCE:
            try:
                return action()
            except (OperationalError, StorageInternalError) as error:
                said = str(error).splitlines()[0]
                self._progress.event(f'the database does not answer, next try in {seconds} s: {said}')
                time.sleep(seconds)
        return action()


def prepare_folder(folder: Path, record: dict, metric: str) -> Path | None:
    """Make a run's folder ready, and return the checkpoint to resume from; without one, the folder is emptied.

    The last checkpoint is written before the last validation, which a resumed run doesn't make up for: without its
    result, an earlier checkpoint has to do.

    Args:
        folder: of the run.
        record: for ``run.json``; what was left by a run of another record is not resumed.
        metric: that the validation logs.
    """
    path = folder / 'run.json'
    try:
        before = json.loads(path.read_text())
    except (OSError, ValueError):
        before = {}
    checkpoint = None
    if dict(before, state='running', error=None, miou=None) == json.loads(json.dumps(record)):
        end = record['iterations']
        checkpoint = prepare_resume(folder, math.inf if end in validations(folder, metric) else end)
    if checkpoint is None and path.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(record, indent=1))
    return checkpoint
