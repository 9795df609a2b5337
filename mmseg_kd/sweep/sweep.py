"""A fair comparison as one command: search every candidate's settings by stages, and repeat the best over seeds."""

import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..io.tables import markdown_table
from .board import Board
from .budget import iterations_of, teachers
from .claims import Claim, Claims
from .plan import Candidate, Stage, Sweep
from .progress import SweepProgress, duration
from .search import open_storage
from .training_process import TrainingProcess
from .worker import Worker

MEASURE = """
import pickle, sys
from mmseg_kd.sweep.budget import measure_step_seconds
with open(sys.argv[1], 'rb') as file:
    candidates = pickle.load(file)
seconds = measure_step_seconds({name: candidate.read() for name, candidate in candidates.items()})
with open(sys.argv[2], 'wb') as file:
    pickle.dump(seconds, file)
"""


def run_sweep(
    sweep: Sweep,
    trainer: Sequence[str],
    storage: str | None = None,
    retry_failed: bool = False,
    heartbeat: float = 10.0,
    poll: float = 1.0,
    out: TextIO | None = None,
) -> str:
    """Be one of the workers of a sweep until all its runs are over.

    Any number of workers may run the same sweep, and each may be killed and started again at any time: a run is
    claimed by one worker, one that was interrupted resumes from its last checkpoint, and one that is over is not
    repeated. A run that fails is recorded with its error, and the rest goes on; what builds on a search without any
    success is left out.

    Args:
        sweep: what to do.
        trainer: the command of a training, to which config and options are appended.
        storage: URL of the database; an SQLite file in the work directory if None.
        retry_failed: whether to run again what has failed, before anything else.
        heartbeat: seconds between two signs of life. A worker of another machine that is silent for twelve times as
            long is taken for dead.
        poll: seconds between two looks at a training.
        out: where progress and result are printed; standard output if None.

    Returns:
        str: the tables of the best values and results, and of the costs.

    Raises:
        FileNotFoundError: if a teacher has no checkpoint.
        ImportError: if Optuna is not installed.
        RuntimeError: if the budget is in seconds and a training step cannot be measured.
        ValueError: if the database doesn't answer, or the sweep was begun with other settings.
    """
    out = out or sys.stdout
    for name, candidate in sweep.taking_part.items():
        for teacher in teachers(candidate.read()):
            checkpoint = teacher['checkpoint']
            if checkpoint not in (None, 'auto') and '://' not in checkpoint and not Path(checkpoint).is_file():
                raise FileNotFoundError(
                    f'candidates.{name}: no such checkpoint of the teacher: {checkpoint}; train it first'
                )
    work_dir = Path(sweep.work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    url = storage or f'sqlite:///{(work_dir / "study.db").resolve()}'
    database = open_storage(url)
    claims = Claims(url, work_dir / '.claims', patience=12 * heartbeat)
    progress = SweepProgress(sum(count for *_, count in plan(sweep)), out)
    try:
        costs = fix_costs(sweep, database, claims, heartbeat, progress.event)
        board = Board(sweep, database, costs)
        board.open(claims)
        if retry_failed:
            progress.event(f'{board.retry(claims)} failed runs are queued again')
        Worker(board, trainer, claims, progress, heartbeat, poll).work()
    finally:
        progress.close()
    table = board.table()
    last, page = work_dir / sweep.stages[-1].name, work_dir / 'comparison'
    out.write(
        f'\n{table}\n\nthe last stage compared:         python tools/compare.py {last}\n'
        f'all runs, with their heat maps:  python tools/compare.py {work_dir} --out {page}\n'
    )
    return table


def dry_run(sweep: Sweep, out: TextIO | None = None) -> None:
    """Print all runs of a sweep, with their iterations and the time that they would take, one after the other.

    The time is that of the training steps, measured here where the data is at hand.

    Args:
        sweep: to show.
        out: where to; standard output if None.
    """
    out = out or sys.stdout
    seconds: dict[str, float | None] = dict.fromkeys(sweep.taking_part)
    iterations: dict[str, int | None] = dict.fromkeys(sweep.taking_part)
    reason = ''
    try:
        with tempfile.TemporaryDirectory() as folder:
            seconds.update(_measure(sweep.taking_part, Path(folder)))
    except RuntimeError as error:
        reason = str(error)
    if not reason or sweep.budget['kind'] == 'iterations':
        for name, candidate in sweep.taking_part.items():
            iterations[name] = iterations_of(sweep.budget, candidate.read(), seconds[name])
    rows, total = [('run', 'iterations', 'time', 'values')], 0.0
    for stage, candidate, _ in plan(sweep):
        sources = [source.name for source, _ in sweep.sources(stage, candidate)]
        count, step = iterations[candidate], seconds[candidate]
        for point, params in enumerate(stage.points()):
            values = [f'{key}={value}' for key, value in params.items()]
            values += [f'{stage.sampler}: {", ".join(stage.space)}'] if stage.sampler != 'grid' else []
            values += [f'best of {", ".join(sources)}'] if sources else []
            for seed in stage.seeds:
                total += (count or 0) * (step or 0)
                rows.append(
                    (
                        f'{stage.name}/{candidate}/{point}_seed{seed}',
                        str(count or '?'),
                        duration(count * step) if count and step else '?',
                        '; '.join(values),
                    )
                )
    out.write(f'{markdown_table(rows)}\n\n{len(rows) - 1} runs; ')
    out.write(
        f'their time is not known: {reason}\n'
        if reason
        else f'{duration(total)} of training steps for one worker, without validation\n'
    )


def plan(sweep: Sweep) -> Iterator[tuple[Stage, str, int]]:
    """Each search of a sweep, as its stage, its candidate and the number of its runs."""
    for stage in sweep.stages:
        for candidate in stage.candidates:
            yield stage, candidate, len(stage.points()) * len(stage.seeds)


def fix_costs(
    sweep: Sweep, database: Any, claims: Claims, heartbeat: float, say: Callable[[str], None]
) -> dict[str, dict]:
    """The ``iterations`` of each candidate, and ``step_seconds``, found once for all workers and restarts.

    Args:
        sweep: whose budget counts.
        database: Optuna's storage.
        claims: to let one worker measure.
        heartbeat: seconds between two signs of life.
        say: prints a line.
    """
    import optuna

    study = optuna.create_study(study_name=sweep.name, storage=database, load_if_exists=True)
    claim = claims.wait(f'{sweep.name}/budget')
    try:
        known = study.user_attrs
        if known.get('budget', sweep.budget) != sweep.budget:
            raise ValueError(
                f'{sweep.name} was begun with budget = {known["budget"]}, but it is now {sweep.budget}; '
                'give the sweep another name and work_dir'
            )
        costs = known.get('costs', {})
        missing = {name: candidate for name, candidate in sweep.taking_part.items() if name not in costs}
        seconds: dict[str, float | None] = dict.fromkeys(missing)
        if sweep.budget['kind'] == 'seconds' and missing:
            say(f'measuring a training step of {", ".join(missing)}')
            seconds.update(_measure(missing, Path(sweep.work_dir), claim, heartbeat))
        for name, candidate in missing.items():
            iterations = iterations_of(sweep.budget, candidate.read(), seconds[name])
            costs[name] = dict(iterations=iterations, step_seconds=seconds[name])
        study.set_user_attr('budget', sweep.budget)
        study.set_user_attr('costs', costs)
        return costs
    finally:
        claim.release()


def _measure(
    candidates: dict[str, Candidate], folder: Path, claim: Claim | None = None, heartbeat: float = 10.0
) -> dict[str, float]:
    """Seconds of a step of each candidate, in a process of its own, which leaves the device as it was.

    Raises:
        RuntimeError: if it fails.
    """
    request, answer, log = (folder / f'step_seconds.{end}' for end in ('request', 'answer', 'log'))
    request.write_bytes(pickle.dumps(candidates))
    command = [sys.executable, '-c', MEASURE, str(request), str(answer)]
    with TrainingProcess(command, log, claim.file if claim else ()) as process:
        while (code := process.wait(heartbeat)) is None:
            if claim:
                claim.renew()
    if code:
        raise RuntimeError(f'a training step cannot be measured: {process.last_words()}')
    seconds = pickle.loads(answer.read_bytes())
    for path in (request, answer, log):
        path.unlink()
    return seconds
