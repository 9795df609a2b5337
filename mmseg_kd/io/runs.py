"""Training runs, read from the work directories that MMEngine writes."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .config_text import read_written_config
from .files import walk

METRIC, FSCORE = 'mIoU', 'mFscore'
SWEEP_FILE = 'run.json'
SWEEP_KEYS = ('sweep', 'stage', 'candidate', 'params', 'state')
OWN_LOSS = re.compile(r'decode(_\d+)?\..*loss')
CLASS_TABLE = re.compile(r'per class results:.*\n(?:.*\n)??((?:[+|].*(?:\n|$))+)')
# Messages of EarlyStoppingHook.
STOPPED_EARLY = re.compile(r'did not improve in the last \d+ records|Stopping threshold reached')

Curve = list[tuple[int, float]]


@dataclass
class Run:
    """One training run.

    Args:
        folder: Work directory of the run.
        config_file: Config file of the last start; None if there is none.
        config: Config of the last start, as plain dicts and lists without ``_scope_``; empty if there is none.
        title: Name of the config file, or of the folder if it holds no config file or several.
        seed: Seed of the training; None if neither config nor log names one.
        processes: Number of processes that trained together.
        iterations: Number of iterations that are done.
        validations: Iteration and mIoU in percent of every validation.
        fscore: Mean F1 of the last validation in percent; None if ``IoUMetric`` does not compute ``mFscore``.
        losses: Iteration and the decode head's own loss for every log entry; entries with loss 0 (turned off) are left
            out.
        step_seconds: Mean time of one iteration, including the wait for data; None if it was not logged.
        memory: Peak GPU memory in MiB; None if it was not logged.
        class_iou: IoU of every class in the last validation in percent, NaN for absent classes; empty if the log holds
            no table.
        started: Timestamp of the last start.
        sweep: Entry of the sweep that started the run; None for other runs.
        problem: Reason why the run cannot be compared; None for a complete run.

    Example:
        >>> run = Run(Path('work_dirs/baseline'), validations=[(400, 61.0), (800, 64.5)])
        >>> run.miou
        64.5
    """

    folder: Path
    config_file: Path | None = None
    config: dict[str, Any] = field(default_factory=dict, repr=False)
    title: str = ''
    seed: int | None = None
    processes: int = 1
    iterations: int = 0
    validations: Curve = field(default_factory=list)
    fscore: float | None = None
    losses: Curve = field(default_factory=list)
    step_seconds: float | None = None
    memory: float | None = None
    class_iou: dict[str, float] = field(default_factory=dict)
    started: str = ''
    sweep: dict[str, Any] | None = None
    problem: str | None = None

    @property
    def miou(self) -> float:
        """MIoU of the last validation in percent. The best one would favor runs with more validations."""
        return self.validations[-1][1]

    @property
    def seconds(self) -> float | None:
        """Training time in seconds, without validation; None if it was not logged."""
        return None if self.step_seconds is None else self.step_seconds * self.iterations


@dataclass
class _Attempt:
    """One start of a training; the next start either resumes it or begins again."""

    started: str
    config: Path
    log: str
    steps: list[dict]
    validations: list[dict]
    others: list[str]

    @property
    def begin(self) -> int:
        """The iteration that this start resumed from; 0 if it began anew."""
        resumed = re.findall(r'resumed epoch: \d+, iter: (\d+)', self.log)
        return int(resumed[-1]) if resumed else 0


def find_runs(folders: Sequence[str | Path]) -> list[Path]:
    """The work directories among the given folders and below them.

    A folder without a work directory is returned itself. Files are skipped.

    Args:
        folders: Folders to search, such as the expansion of ``work_dirs/*``.

    Raises:
        ValueError: If a path does not exist.

    Example:
        >>> Path('work_dirs/baseline/20260101_120000/vis_data').mkdir(parents=True)
        >>> Path('work_dirs/baseline/20260101_120000/vis_data/scalars.json').touch()
        >>> [run.as_posix() for run in find_runs(['work_dirs'])]
        ['work_dirs/baseline']
    """
    found: dict[Path, None] = {}
    for folder in map(Path, folders):
        if not folder.exists():
            raise ValueError(f'no such folder: {folder}')
        if not folder.is_dir():
            continue
        below = set()
        for path, entries in walk(folder):
            if path.name == 'vis_data' and folder in path.parent.parents:
                below.add(path.parent.parent)
            if any(entry.name == SWEEP_FILE for entry in entries):
                below.add(path)
        found.update(dict.fromkeys([folder] if folder in below or not below else sorted(below)))
    return list(found)


def read_run(folder: str | Path) -> Run:
    """Read one work directory; all starts in it are combined into one training run.

    The function never fails: ``Run.problem`` names what is wrong.

    Args:
        folder: Work directory, which contains ``<timestamp>/vis_data/``.

    Example:
        >>> Path('empty_dir').mkdir()
        >>> read_run('empty_dir').problem
        'holds no log of a training'
    """
    run = Run(Path(folder))
    # A Runner with a config that was not read from a file writes it under its timestamp.
    configs = [path for path in run.folder.glob('*.py') if not path.with_suffix('').is_dir()]
    run.title = configs[0].stem if len(configs) == 1 else run.folder.resolve().name
    try:
        run.sweep = _read_sweep(run.folder)
        attempts = [_read_attempt(path.parent) for path in sorted(run.folder.glob('*/vis_data'))]
        # A start that only tested, or was killed before its first log entry, holds no information.
        attempts = [attempt for attempt in attempts if attempt.steps or attempt.validations] or attempts[-1:]
        if attempts:
            run.config_file = attempts[-1].config
            run.config = _plain(read_written_config(run.config_file))
            _read_logs(run, attempts)
        run.problem = _problem(run, attempts)
    # Files of others may hold anything.
    except Exception as error:
        run.problem = f'cannot be read: {(str(error).splitlines() or [""])[0] or type(error).__name__}'
    return run


def read_class_iou(log: str) -> dict[str, float]:
    """The IoU of every class in percent, from the last table of ``IoUMetric`` in a log; empty if there is none.

    Args:
        log: Text of the log.

    Example:
        >>> log = '''per class results:
        ... +-------+-------+-------+
        ... | Class |  IoU  |  Acc  |
        ... +-------+-------+-------+
        ... |  road | 91.50 | 95.00 |
        ... |  car  |  nan  |  nan  |
        ... +-------+-------+-------+
        ... '''
        >>> read_class_iou(log)
        {'road': 91.5, 'car': nan}
    """
    tables = CLASS_TABLE.findall(log)
    rows = [line.strip().strip('|') for line in tables[-1].splitlines() if line.startswith('|')] if tables else []
    if not rows:
        return {}
    header = [cell.strip() for cell in rows[0].split('|')]
    if 'IoU' not in header:
        return {}
    # Cells are counted from the right, because a class name may contain the separator.
    place = header.index('IoU') - len(header)
    found = {}
    for row in rows[1:]:
        cells = row.rsplit('|', len(header) - 1)
        try:
            found[cells[0].strip()] = float(cells[place])
        except (ValueError, IndexError):
            return {}
    return found


def read_scalars(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a ``scalars.json``, in order; none if there is no such file.

    Args:
        path: path of the file, whose last line may be incomplete.
    """
    for line in path.read_text(encoding='utf-8', errors='replace').splitlines() if path.is_file() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue  # the process was killed while it wrote, or is writing now


def pointed_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that the file ``last_checkpoint`` of a work directory names; None if one of them is missing.

    Args:
        folder: work directory, which may have been moved since.
    """
    pointer = folder / 'last_checkpoint'
    path = folder / Path(pointer.read_text().strip()).name if pointer.is_file() else None
    return path if path is not None and path.is_file() else None


def saved_checkpoints(folder: str | Path, template: str | None = None) -> list[Path]:
    """The checkpoints of a training, from which it may resume, the newest first.

    ``last_checkpoint`` names the newest one, unless the process was killed before it wrote the name of a still newer
    one. Checkpoints of a longer former training in the same folder are left out. Without ``last_checkpoint``, the times
    of the files decide.

    Args:
        folder: Folder of the checkpoints, which may have been moved or copied; it may be missing.
        template: Name of a checkpoint with ``{}`` for the iteration, in addition to ``iter_{}.pth`` and
            ``epoch_{}.pth``.

    Example:
        >>> for name in ('iter_200.pth', 'iter_400.pth', 'best_mIoU_iter_200.pth'):
        ...     Path(name).touch()
        >>> _ = Path('last_checkpoint').write_text('work_dirs/baseline/iter_400.pth')
        >>> [path.name for path in saved_checkpoints('.')]
        ['iter_400.pth', 'iter_200.pth']
    """
    folder = Path(folder)
    found: dict[Path, tuple[str, int, int]] = {}  # kind, number, time
    for kind in {'iter_{}.pth', 'epoch_{}.pth', template or 'iter_{}.pth'}:
        pattern = re.compile(r'(\d+)'.join(map(re.escape, kind.split('{}'))))
        for path in folder.glob(kind.replace('{}', '*')):
            match = pattern.fullmatch(path.name)
            if match:
                found[path] = (kind, int(match[1]), path.stat().st_mtime_ns)
    ordered = sorted(found, key=lambda path: (found[path][2], found[path][1]), reverse=True)
    pointed = pointed_checkpoint(folder)
    if pointed not in found:
        return ordered
    kind, number, written = found[pointed]
    alike = {path: found[path] for path in ordered if found[path][0] == kind}
    newer = [path for path, (_, n, time) in alike.items() if n > number and time > written]
    others = [path for path in ordered if path != pointed and not (path in alike and alike[path][1] > number)]
    return [*sorted(newer, key=lambda path: -alike[path][1]), pointed, *others]


def by_epoch(config: dict[str, Any]) -> bool:
    """Whether a config counts its training in epochs.

    Args:
        config: Config of a training, as plain dicts.

    Example:
        >>> by_epoch(dict(train_cfg=dict(max_epochs=12)))
        True
    """
    return 'max_epochs' in config.get('train_cfg', {})


def _read_sweep(folder: Path) -> dict[str, Any] | None:
    path = folder / SWEEP_FILE
    if not path.is_file():
        return None
    sweep = json.loads(path.read_text(encoding='utf-8'))
    missing = [key for key in SWEEP_KEYS if key not in sweep]
    if missing:
        raise ValueError(f'{SWEEP_FILE} must have {", ".join(SWEEP_KEYS)}, but lacks {", ".join(missing)}')
    return sweep


def _read_attempt(folder: Path) -> _Attempt:
    log = folder / f'{folder.name}.log'
    text = log.read_text(encoding='utf-8', errors='replace') if log.is_file() else ''
    epoch = _number(r'Epoch\(train\) *\[\d+\]\[ *\d+/(\d+)\]', text) or 0
    steps, validations, others, last = [], [], [], 0
    for entry in read_scalars(folder / 'vis_data' / 'scalars.json'):
        if 'iter' in entry:
            last = entry['step']
            steps.append(entry)
        elif any(_is_metric(key) for key in entry):
            # LoggerHook.log_metric_by_epoch decides whether validations are logged by epoch or by iteration.
            in_epochs = entry['step'] * epoch <= last + epoch
            iteration = entry['step'] * epoch if epoch and in_epochs else max(last, entry['step'])
            validations.append(dict(entry, iteration=iteration))
        else:
            others = [key for key in entry if key not in ('step', 'time', 'data_time', 'memory')]
    return _Attempt(folder.name, folder / 'vis_data' / 'config.py', text, steps, validations, others)


def _read_logs(run: Run, attempts: list[_Attempt]) -> None:
    last = attempts[-1]
    run.started = last.started
    steps: list[dict] = []
    validations: list[dict] = []
    for attempt in attempts:
        steps = [entry for entry in steps if entry['step'] <= attempt.begin] + attempt.steps
        # A start may repeat the validation of the checkpoint that it resumed from.
        repeated = {entry['iteration'] for entry in attempt.validations}
        validations = [
            entry for entry in validations if entry['iteration'] <= attempt.begin and entry['iteration'] not in repeated
        ] + attempt.validations
    run.validations = [(entry['iteration'], _metric(entry)) for entry in validations]
    run.fscore = next(
        (
            value
            for key, value in (validations[-1] if validations else {}).items()
            if key == FSCORE or key.endswith(f'/{FSCORE}')
        ),
        None,
    )
    run.losses = [(entry['step'], loss) for entry in steps for loss in [_own_loss(entry)] if loss]
    run.iterations = max(
        [entry['step'] for entry in steps] + [iteration for iteration, _ in run.validations], default=0
    )
    timed, total, before = 0, 0.0, 0
    for entry in steps:
        if 'time' in entry:
            total += entry['time'] * (entry['step'] - before)
            timed += entry['step'] - before
        before = entry['step']
    run.step_seconds = total / timed if timed else None
    run.memory = max((entry['memory'] for entry in steps if 'memory' in entry), default=None)
    run.class_iou = read_class_iou(last.log)
    seed = run.config.get('randomness', {}).get('seed')
    run.seed = seed if seed is not None else _number(r'^ +seed: (\d+)$', last.log)
    run.processes = _number(r'^ +GPU number: (\d+)$', last.log) or 1


def _problem(run: Run, attempts: list[_Attempt]) -> str | None:
    sweep = run.sweep or {}
    if sweep.get('state') == 'failed':
        return 'failed: ' + ' '.join(str(sweep.get('error') or 'the sweep names no error').split())
    if sweep.get('state') == 'pruned':
        return f'stopped by its sweep at iteration {run.iterations}'
    if not attempts:
        return 'holds no log of a training'
    last = attempts[-1]
    if not last.steps and not last.validations:
        return 'stopped before its first log entry'
    train_cfg = run.config.get('train_cfg', {})
    goal = train_cfg.get('max_epochs', train_cfg.get('max_iters'))
    if goal is None:
        return 'its config has neither train_cfg.max_iters nor train_cfg.max_epochs'
    if by_epoch(run.config):
        unit, made = (
            'epoch',
            max([entry.get('epoch', 0) - 1 for entry in last.steps] + [entry['step'] for entry in last.validations]),
        )
        validated = bool(last.validations) and last.validations[-1]['step'] >= goal
    else:
        unit, made = 'iteration', run.iterations
        validated = bool(last.validations) and last.validations[-1]['iteration'] >= goal
    if not last.validations and last.others:
        return (
            f'its validations log {", ".join(last.others)}, but runs are compared by {METRIC}; set val_evaluator: '
            f"iou_metrics=['{METRIC}']"
        )
    if not validated and not (last.validations and STOPPED_EARLY.search(last.log)):
        return f'stopped at {unit} {made} of {goal}' + ', before its last validation' * (made >= goal)
    if not math.isfinite(run.miou):
        return f'its last mIoU is {run.miou}'
    return None


def _is_metric(key: str) -> bool:
    return key == METRIC or key.endswith(f'/{METRIC}')


def _metric(entry: dict) -> float:
    return next(value for key, value in entry.items() if _is_metric(key))


def _own_loss(entry: dict) -> float | None:
    values = [value for key, value in entry.items() if OWN_LOSS.match(key)]
    return sum(values) if values else None


def _number(pattern: str, log: str) -> int | None:
    found = re.search(pattern, log, re.MULTILINE)
    return int(found[1]) if found else None


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key != '_scope_'}
    return [_plain(value) for value in node] if isinstance(node, (list, tuple)) else node
