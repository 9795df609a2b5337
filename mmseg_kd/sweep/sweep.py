"""A fair comparison in one command: tune every candidate stage by stage, and repeat the best settings over seeds."""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..engine.checks import check_precision
from ..io.progress import ProgressLine
from ..io.tables import markdown_table
from .board import Board
from .budget import iterations_of, measure_step_seconds, teachers
from .caches import fix_caches, make_caches, shared_caches, with_caches, without_cache
from .leases import Lease, Leases
from .other_process import OtherProcessError, call_in_other_process
from .plan import Candidate, Stage, Sweep
from .progress import SweepProgress, duration
from .recorded_values import check_costs
from .storage import open_storage
from .worker import Worker

LOCKS = '.claims'  # folders of running sweeps have this name


def run_sweep(
    sweep: Sweep,
    trainer: Sequence[str],
    storage: str | None = None,
    retry_failed: bool = False,
    heartbeat: float = 20.0,
    poll: float = 1.0,
    out: TextIO | None = None,
) -> str:
    """Work on a sweep until all runs have ended.

    Any number of workers may run the same sweep, and each may be killed and started again at any time. One worker
    leases each run. An interrupted run resumes from its last checkpoint, and a finished run is not repeated. The error
    of a failed run is recorded, and the sweep continues. A study is skipped if it starts from one without any complete
    trial.

    Args:
        sweep: sweep to run.
        trainer: training command, to which config and options are appended.
        storage: URL of a database; a journal file in the work directory if None.
        retry_failed: whether to queue failed runs again at the start.
        heartbeat: seconds between two heartbeats. A worker on another machine counts as dead after six times as long
            without a heartbeat.
        poll: seconds between two checks of a running training.
        out: output stream of progress and results; standard output if None.

    Returns:
        str: tables of the best values and results, and of the costs.

    Raises:
        FileNotFoundError: if a teacher has no checkpoint.
        ImportError: if Optuna is not installed.
        RuntimeError: if the budget is in seconds and a training step cannot be measured, or a cache cannot be made.
        ValueError: if the database does not answer, or the sweep was started with other settings.
    """
    out = out or sys.stdout
    for name, candidate in sweep.active_candidates.items():
        for teacher in teachers(candidate.read()):
            checkpoint = teacher['checkpoint']
            if checkpoint not in (None, 'auto') and '://' not in checkpoint and not Path(checkpoint).is_file():
                raise FileNotFoundError(
                    f'candidates.{name}: no such checkpoint of the teacher: {checkpoint}; train the teacher first'
                )
    work_dir = Path(sweep.work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    database = open_storage(work_dir, storage)
    leases = Leases(database, f'{sweep.name}/leases', work_dir / LOCKS, patience=6 * heartbeat)
    progress = SweepProgress(sum(count for *_, count in plan(sweep)), out)
    try:
        for line in precision_warnings(sweep):
            progress.event(line)
        caches = fix_caches(sweep, database, leases)
        make_caches(sweep, caches, leases, heartbeat, poll, progress.event)
        sweep = with_caches(sweep, caches)
        costs = fix_costs(sweep, database, leases, heartbeat, progress.event)
        board = Board(sweep, database, costs, caches)
        board.open(leases)
        if retry_failed:
            progress.event(f'{board.retry(leases)} failed runs are queued again')
        Worker(board, trainer, leases, progress, heartbeat, poll).work()
    finally:
        progress.close()
    table = board.table()
    last, page = work_dir / sweep.stages[-1].name, work_dir / 'comparison'
    out.write(
        f'\n{table}\n\ncompare the last stage:          python tools/compare.py {last}\n'
        f'compare all runs, with heat maps: python tools/compare.py {work_dir} --out {page}\n'
    )
    return table


def dry_run(sweep: Sweep, out: TextIO | None = None) -> None:
    """Print all runs of a sweep with their iterations and training times.

    The times are those of the training steps, measured on this machine if the data is there.

    Args:
        sweep: sweep to print.
        out: output stream; standard output if None.
    """
    out = out or sys.stdout
    seconds: dict[str, float | None] = dict.fromkeys(sweep.active_candidates)
    iterations: dict[str, int | None] = dict.fromkeys(sweep.active_candidates)
    reason = ''
    try:
        with tempfile.TemporaryDirectory() as folder:
            out.write(f'measuring a training step of {", ".join(sweep.active_candidates)}\n')
            out.flush()
            seconds.update(_measure(sweep.active_candidates, Path(folder)))
    except RuntimeError as error:
        reason = str(error)
    if not reason or sweep.budget['kind'] == 'iterations':
        for name, candidate in sweep.active_candidates.items():
            iterations[name] = iterations_of(sweep.budget, candidate.read(), seconds[name])
    rows, total = [('run', 'iterations', 'time', 'values')], 0.0
    for stage, name, _ in plan(sweep):
        sources = [source.name for source, _ in sweep.sources(stage, name)]
        count, step = iterations[name], seconds[name]
        for index, params in enumerate(stage.trial_values()):
            values = [f'{key}={value}' for key, value in params.items()]
            values += [f'{stage.sampler}: {", ".join(stage.space)}'] if stage.sampler != 'grid' else []
            values += [f'best of {", ".join(sources)}'] if sources else []
            for seed in stage.seeds:
                total += (count or 0) * (step or 0)
                rows.append(
                    (
                        f'{stage.name}/{name}/{index}_seed{seed}',
                        str(count or '?'),
                        duration(count * step) if count and step else '?',
                        '; '.join(values),
                    )
                )
    out.write(f'{markdown_table(rows)}\n\n{len(rows) - 1} runs; ')
    out.write(
        f'their time is unknown: {reason}\n'
        if reason
        else f'{duration(total)} of training steps for one worker, without validation\n'
    )
    for line in precision_warnings(sweep):
        out.write(f'{line}\n')
    if sweep.cache is not None:
        lines = [*map(str, shared_caches(sweep)), without_cache(sweep)]
        told = '\n'.join(line for line in lines if line)
        out.write(f'{told}\nthe times are those with the teacher itself: a dry run makes no cache\n')


def precision_warnings(sweep: Sweep) -> list[str]:
    """Warnings of half precision that is slower than float32 on this machine, each with the number of candidates."""
    found = Counter(
        warning
        for candidate in sweep.active_candidates.values()
        for warning in check_precision(candidate.read()).warnings
    )
    return [f'{count} of {len(sweep.active_candidates)} candidates: {warning}' for warning, count in found.items()]


def plan(sweep: Sweep) -> Iterator[tuple[Stage, str, int]]:
    """The stage, the candidate and the number of runs of each study."""
    for stage in sweep.stages:
        for candidate in stage.candidates:
            yield stage, candidate, len(stage.trial_values()) * len(stage.seeds)


def fix_costs(
    sweep: Sweep, database: Any, leases: Leases, heartbeat: float, say: Callable[[str], None]
) -> dict[str, dict]:
    """``iterations`` and ``step_seconds`` of each candidate, determined once for all workers and restarts.

    Args:
        sweep: sweep with the budget.
        database: Optuna's storage.
        leases: leases of the sweep; they let one worker measure.
        heartbeat: seconds between two heartbeats.
        say: function that prints a line.
    """
    import optuna

    study = optuna.create_study(study_name=sweep.name, storage=database, load_if_exists=True)
    lease = leases.wait(f'{sweep.name}/budget')
    try:
        known = study.user_attrs
        if known.get('budget', sweep.budget) != sweep.budget:
            raise ValueError(
                f'{sweep.name} was started with budget = {known["budget"]}, but now has {sweep.budget}; '
                'change the name and work_dir of the sweep'
            )
        costs = known.get('costs', {})
        missing = {name: candidate for name, candidate in sweep.active_candidates.items() if name not in costs}
        seconds: dict[str, float | None] = dict.fromkeys(missing)
        if sweep.budget['kind'] == 'seconds' and missing:
            say(f'measuring a training step of {", ".join(missing)}')
            seconds.update(_measure(missing, Path(sweep.work_dir), lease, heartbeat))
        check_costs(costs)
        for name, candidate in missing.items():
            iterations = iterations_of(sweep.budget, candidate.read(), seconds[name])
            costs[name] = dict(iterations=iterations, step_seconds=seconds[name])
        study.set_user_attr('budget', sweep.budget)
        study.set_user_attr('costs', costs)
        return costs
    finally:
        lease.release()


def _measure(
    candidates: dict[str, Candidate], folder: Path, lease: Lease | None = None, heartbeat: float = 10.0
) -> dict[str, float]:
    """Seconds of a training step of each candidate, measured in another process.

    Raises:
        RuntimeError: if the measurement fails.
    """
    log, line = folder / 'step_seconds.log', ProgressLine('steps to measure', 1, sys.stderr)
    end = 'failed'

    def show(told: str) -> None:
        done, total = told.split()
        line.update(int(done), int(total))

    try:
        seconds = call_in_other_process(_step_seconds, candidates, log, show, lease, heartbeat)
        end = 'measured'
    except OtherProcessError as error:
        raise RuntimeError(f'a training step cannot be measured: {error}') from None
    finally:
        line.close(end)
    log.unlink()
    return seconds


def _step_seconds(candidates: dict[str, Candidate], say: Callable[[str], None]) -> dict[str, float]:
    return measure_step_seconds(
        {name: candidate.read() for name, candidate in candidates.items()},
        report=lambda done, total: say(f'{done} {total}'),
    )
