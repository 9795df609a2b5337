"""A training in its own process, and the results in its folder."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..io.files import write_atomically
from ..io.runs import read_scalars
from ..io.stop_signals import STATUS

GRACE = 25  # seconds between SIGTERM and SIGKILL, for the last step and its checkpoint; SLURM itself allows 30
# Without this, a training would outlive its killed worker and continue beside its successor. Linux only.
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


class TrainingProcess:
    """A command in its own process group, with its output in a file. As a context manager, it is stopped at the end.

    Args:
        command: program and arguments.
        log: file to which the output is appended.
        inherit: descriptors of files that stay open in the process.

    Example:
        >>> import sys
        >>> with TrainingProcess([sys.executable, '-c', 'raise SystemExit(3)'], Path('output.log')) as process:
        ...     process.wait(60)
        3
    """

    def __init__(self, command: Sequence[str], log: Path, inherit: Sequence[int] = ()) -> None:
        if sys.platform == 'linux':
            command = [sys.executable, '-I', '-S', '-c', DIE_WITH_PARENT, str(os.getpid()), *command]
        self._log, self._begin = log, log.stat().st_size if log.exists() else 0
        with log.open('ab') as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A training that a signal stops must not look finished.
                env={**os.environ, STATUS: str(128 + signal.SIGTERM)},
                pass_fds=inherit,
            )

    def __enter__(self) -> 'TrainingProcess':
        return self

    def __exit__(self, *exception) -> None:
        self.stop()

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None if the process still runs after ``seconds``."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Stop the process and those that it started, unless it has ended."""
        if self._process.poll() is not None:
            return
        self._signal(signal.SIGTERM)
        if self.wait(GRACE) is None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def error_summary(self) -> str:
        """The end of the output: three lines from the last line that names an error, or else the last line."""
        with self._log.open('rb') as log:
            log.seek(self._begin)
            lines = [line.rstrip() for line in log.read().decode(errors='replace').splitlines() if line.strip()]
        for index in range(len(lines) - 1, -1, -1):
            if re.match(r'(error: |[\w.]+(Error|Exception|Lost|Exit)\b)', lines[index]):
                return ' '.join(lines[index : index + 3]).removeprefix('error: ')
        return lines[-1] if lines else 'no output'

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def python_command(code: str, *arguments: object) -> list[str]:
    """A command that runs code in another process, which finds the same modules as this one.

    With ``python -c`` alone, a file such as ``json.py`` in the current folder would take the place of a library.

    Args:
        code: Code to run.
        arguments: Arguments of the command.
    """
    return [sys.executable, '-c', f'import sys\nsys.path[:] = {sys.path!r}\n{code}', *map(str, arguments)]


def killed_from_outside(code: int) -> bool:
    """Whether an exit code means that the process was killed by a signal, not ended by an error of its own.

    Example:
        >>> killed_from_outside(-9), killed_from_outside(1)
        (True, False)
    """
    number = -code if code < 0 else code - 128
    return number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def log_entries(work_dir: Path) -> Iterator[dict]:
    """All log entries of a run, in order. Entries that a resumed run repeats come later.

    Example:
        >>> list(log_entries(Path('empty')))
        []
    """
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        yield from read_scalars(path)


def validations(work_dir: Path, metric: str) -> dict[int, float]:
    """The metric of each validation, by iteration.

    Example:
        >>> validations(Path('empty'), 'mIoU')
        {}
    """
    return {entry['step']: float(entry[metric]) for entry in log_entries(work_dir) if metric in entry}


def reached(work_dir: Path) -> int:
    """The last logged iteration; 0 without a log.

    Example:
        >>> reached(Path('empty'))
        0
    """
    return next((entry['step'] for entry in reversed(list(log_entries(work_dir))) if 'step' in entry), 0)


def prepare_resume(work_dir: Path, before: float) -> Path | None:
    """Point ``last_checkpoint`` to the latest complete checkpoint, and return it; None if there is none.

    A killed training may leave an incomplete checkpoint and an empty ``last_checkpoint``.

    Args:
        work_dir: folder of the run.
        before: iteration before which a checkpoint must be.

    Example:
        >>> prepare_resume(Path('empty'), before=100) is None
        True
    """
    pointer = work_dir / 'last_checkpoint'
    found = {
        int(match[1]): path
        for path in work_dir.glob('iter_*.pth')
        if (match := re.fullmatch(r'iter_(\d+)\.pth', path.name))
    }
    for iteration in sorted(found, reverse=True):
        # torch.save writes the directory of the archive last, so an incomplete file is no zip file.
        if iteration < before and zipfile.is_zipfile(found[iteration]):
            write_atomically(pointer, str(found[iteration].resolve()))
            return found[iteration]
    pointer.unlink(missing_ok=True)
    return None
