"""One worker of a sweep: it leases a run, trains, records the result, and continues with the next run."""

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io.command_line import as_arguments
from ..io.files import write_atomically
from ..io.progress import duration
from .board import Board
from .budget import stretch
from .leases import Lease, LeaseLost, Leases
from .progress import SweepProgress
from .recorded_values import check_values
from .study import Study
from .training_process import TrainingProcess, killed_from_outside, prepare_resume, reached, validations

# A run that is killed more often than this without a new checkpoint counts as failed.
MAX_KILLS_WITHOUT_PROGRESS = 5
SECONDS_BETWEEN_REFRESHES = 5.0
# Seconds to wait before each further attempt to reach a database that does not answer.
RETRY_DELAYS = (1, 5, 30, 120, 600)


@dataclass
class Run:
    """One training of a sweep: a trial with one seed.

    Args:
        study: study of the trial.
        index: index of the trial in its study.
        seed: random seed of the training.

    Example:
        >>> from types import SimpleNamespace
        >>> Run(SimpleNamespace(key='tune/cwd', name='study/tune/cwd'), index=3, seed=1).name
        'tune/cwd/3_seed1'
    """

    study: Study
    index: int
    seed: int

    @property
    def name(self) -> str:
        return f'{self.study.key}/{self.index}_seed{self.seed}'

    @property
    def work(self) -> str:
        return f'{self.study.name}/{self.index}_seed{self.seed}'


@dataclass
class Outcome:
    """The result of a run.

    Args:
        state: ``'complete'``, ``'failed'`` or ``'pruned'``.
        value: metric of the last validation.
        error: reason of a failure.
        seconds: duration of the training; None if it was interrupted.

    Example:
        >>> Outcome('complete', value=60.0).state
        'complete'
    """

    state: str
    value: float | None = None
    error: str | None = None
    seconds: float | None = None


class Worker:
    """Runs the trainings of a sweep, one after the other, beside other workers.

    Args:
        board: studies of the sweep.
        trainer: training command, to which config and options are appended.
        leases: leases of the sweep, shared by all workers.
        progress: display of events and progress.
        heartbeat: seconds between two heartbeats.
        poll: seconds between two checks of a running training.

    Example:
        >>> worker = Worker(board, ['python', 'tools/train.py'], leases, progress, 30, 1)  # doctest: +SKIP
        >>> worker.work()  # doctest: +SKIP
    """

    def __init__(
        self,
        board: Board,
        trainer: Sequence[str],
        leases: Leases,
        progress: SweepProgress,
        heartbeat: float,
        poll: float,
    ) -> None:
        self._board, self._trainer, self._leases, self._progress = board, list(trainer), leases, progress
        self._heartbeat, self._poll = heartbeat, poll
        self._work_dir = Path(board.sweep.work_dir)
        self._metric = board.sweep.metric
        self._leased: dict[str, str] = {}
        self._current: Run | None = None

    def work(self) -> None:
        """Train one run after the other, until the sweep is finished."""
        while True:
            self._with_retries(self._refresh)
            next_run = self._lease_run()
            if next_run is not None:
                self._current, lease = next_run
                try:
                    self._train(self._current, lease)
                except LeaseLost as error:
                    self._progress.event(str(error))
                finally:
                    lease.release()
                    self._current = None
            elif self._board.finished:
                return
            else:
                self._show()
                time.sleep(2 * self._poll)

    def _refresh(self) -> None:
        self._board.refresh()
        self._leased = self._leases.refresh()
        done, total, left = self._board.count()
        self._progress.count(done, total, None if left is None else left / (1 + len(self._other_runs())))

    def _lease_run(self) -> tuple[Run, Lease] | None:
        """Lease a free run, or, if every run has a worker, a run whose worker is dead."""
        waiting = [
            Run(study, index, seed)
            for study in self._board.studies
            if self._board.ready(study)
            for index, trial in study.trials.items()
            for seed in study.pending(trial)
        ]
        for run in sorted(waiting, key=lambda run: run.work in self._leased):
            lease = self._leases.acquire(run.work)
            if lease is None:
                continue
            run.study.refresh()  # another worker may have finished it
            if run.seed in run.study.pending(run.study.trials[run.index]):
                return run, lease
            lease.release()
        return None

    def _train(self, run: Run, lease: Lease) -> None:
        study, board = run.study, self._board
        fixed = board.fixed(study)
        trial = study.start(run.index)
        check_values(study.key, trial.params, [study.stage.space])
        candidate, cost = board.sweep.candidates[study.candidate], board.costs[study.candidate]
        record = dict(
            sweep=board.sweep.name,
            stage=study.stage.name,
            candidate=study.candidate,
            **candidate.source,
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
        self._progress.event(' '.join([run.name, 'starts'] + [f'{key}={value}' for key, value in trial.params.items()]))
        begin = time.monotonic()
        outcome = self._supervise(run, trial, record, lease)
        record.update(state=outcome.state, error=outcome.error, miou=outcome.value)
        # A result counts only while this worker holds the lease.
        self._with_retries(lease.renew)
        write_atomically(self._work_dir / run.name / 'run.json', json.dumps(record, indent=1))
        self._with_retries(lambda: trial.set_user_attr(f'seed_{run.seed}', vars(outcome)))
        self._with_retries(self._refresh)
        result = outcome.error if outcome.state == 'failed' else f'{self._metric} {outcome.value:.2f}'
        self._progress.event(f'{run.name} {outcome.state} after {duration(time.monotonic() - begin)}: {result}')

    def _supervise(self, run: Run, trial: Any, record: dict, lease: Lease) -> Outcome:
        """Train until the run ends, fails or is pruned; a killed training resumes from its last checkpoint."""
        folder = self._work_dir / run.name
        command = self._command(record, folder)
        begin, attempts, stalled, last = time.monotonic(), 0, 0, None
        while True:
            checkpoint = prepare_folder(folder, record, self._metric)
            attempts, stalled = attempts + 1, stalled + 1 if attempts and checkpoint == last else 0
            last = checkpoint
            with TrainingProcess(
                command + (['--resume'] if checkpoint else []), folder / 'output.log', lease.descriptors
            ) as process:
                code = self._watch(process, run, trial, record, lease)
            values = validations(folder, self._metric)
            value = values[max(values)] if values else None
            if code is None:
                return Outcome('pruned', value)
            if code == 0 and value is not None and math.isfinite(value):
                uninterrupted = attempts == 1 and checkpoint is None
                return Outcome('complete', value, seconds=time.monotonic() - begin if uninterrupted else None)
            if code == 0:
                return Outcome(
                    'failed', error=f'validation must log {self._metric}, but logged {value}; set val_evaluator'
                )
            if not killed_from_outside(code):
                return Outcome('failed', error=process.error_summary())
            if stalled == MAX_KILLS_WITHOUT_PROGRESS:
                return Outcome(
                    'failed',
                    error=f'killed {stalled + 1} times without a new checkpoint (exit code {code}); is memory short?',
                )
            self._progress.event(f'{run.name} was killed (exit code {code}) and resumes')

    def _command(self, record: dict, folder: Path) -> list[str]:
        config = self._board.sweep.candidates[record['candidate']].read()
        options = {
            **record['options'],
            **stretch(config, record['iterations']),
            **record['params'],
            'randomness.seed': record['seed'],
        }
        terms = ['--terms', record['terms']] if 'terms' in record else []
        arguments = [record['config'], *terms, '--work-dir', str(folder), '--cfg-options', *as_arguments(options)]
        return [*self._trainer, *arguments]

    def _watch(self, process: TrainingProcess, run: Run, trial: Any, record: dict, lease: Lease) -> int | None:
        """Wait until a training ends; its exit code, or None if it was pruned."""
        folder = self._work_dir / run.name
        # With several seeds, the validations of one run are not intermediate values of the trial.
        single = len(run.study.stage.seeds) == 1
        reported = set(run.study.trials[run.index].intermediate_values) if single else set()
        renewed = refreshed = time.monotonic()
        while True:
            code = process.wait(self._poll)
            if time.monotonic() - renewed > self._heartbeat:
                self._with_retries(lease.renew)
                renewed = time.monotonic()
            values = validations(folder, self._metric)
            for step in sorted(values.keys() - reported) if single else ():
                self._with_retries(lambda: trial.report(values[step], step))
                reported.add(step)
                if step < record['iterations'] and trial.should_prune():
                    return None
            if code is not None:
                return code
            if time.monotonic() - refreshed > SECONDS_BETWEEN_REFRESHES:
                self._with_retries(self._refresh)
                refreshed = time.monotonic()
            note = f', {self._metric} {values[max(values)]:.2f}' if values else ''
            self._show(reached(folder), note)

    def _other_runs(self) -> list[tuple[str, str]]:
        """The runs of other workers, each with its machine."""
        prefix, mine = f'{self._board.sweep.name}/', self._current.work if self._current else None
        return [
            (work[len(prefix) :], machine)
            for work, machine in self._leased.items()
            if work.startswith(prefix) and '_seed' in work and work != mine
        ]

    def _show(self, iteration: int = 0, note: str = '') -> None:
        run = self._current
        iterations = self._board.costs[run.study.candidate]['iterations'] if run else 1
        self._progress.refresh(run.name if run else '', iteration, iterations, note, self._other_runs())

    def _with_retries(self, action: Callable[[], None]) -> None:
        """Do something that needs the database, and try again if it does not answer."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import OperationalError

        for seconds in RETRY_DELAYS:
            try:
                return action()
            except (OperationalError, StorageInternalError, OSError) as error:
                reason = str(error).splitlines()[0]
                self._progress.event(f'the database does not answer, next attempt in {seconds} s: {reason}')
                time.sleep(seconds)
        return action()


def prepare_folder(folder: Path, record: dict, metric: str) -> Path | None:
    """Prepare the folder of a run, and return the checkpoint to resume from; without a checkpoint, empty the folder.

    The last checkpoint is written before the last validation. A run that resumes from it does not repeat this
    validation. If its result is missing, the run resumes from an earlier checkpoint.

    Args:
        folder: folder of the run.
        record: content of ``run.json``; a folder with another record is not resumed.
        metric: name of the metric in the log.

    Example:
        >>> prepare_folder(Path('run'), dict(iterations=100), 'mIoU') is None
        True
        >>> (Path('run') / 'run.json').is_file()
        True
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
