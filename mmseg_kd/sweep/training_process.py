"""A training that runs as a process of its own, and what it leaves in its folder."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..io.files import write_atomically

GRACE = 10  # seconds from the request to end until the end
# A process that outlives a killed parent would train on beside its successor. Only Linux can tie the two together.
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


class TrainingProcess:
    """A command in a process group of its own, with its output in a file. As a context manager, it ends with the block.

    Args:
        command: to run.
        log: the file that its output is appended to.
        inherit: descriptors of open files that it keeps open.
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
                pass_fds=inherit,
            )

    def __enter__(self) -> 'TrainingProcess':
        return self

    def __exit__(self, *exception) -> None:
        self.stop()

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None if it still runs after so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End it, with the processes that it started; nothing if it has ended."""
        if self._process.poll() is not None:
            return
        self._signal(signal.SIGTERM)
        if self.wait(GRACE) is None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def last_words(self) -> str:
        """The error that it ended with, in a line or a few: from the last line that names one, or the last line."""
        with self._log.open('rb') as log:
            log.seek(self._begin)
            lines = [line.rstrip() for line in log.read().decode(errors='replace').splitlines() if line.strip()]
        for index in range(len(lines) - 1, -1, -1):
            if re.match(r'[\w.]+(Error|Exception|Lost|Exit)\b', lines[index]):
                return ' '.join(lines[index : index + 3])
        return lines[-1] if lines else 'no output'

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def killed_from_outside(code: int) -> bool:
    """Whether an exit code says that somebody ended the process, rather than an error of its own."""
    number = -code if code < 0 else code - 128
    return number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def read_scalars(work_dir: Path) -> Iterator[dict]:
    """Everything that a run has logged, in order; what a resumed run logged again comes later."""
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text(errors='replace').splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # a line that was being written
                pass


def validations(work_dir: Path, metric: str) -> dict[int, float]:
    """The metric by iteration."""
    return {entry['step']: float(entry[metric]) for entry in read_scalars(work_dir) if metric in entry}


def reached(work_dir: Path) -> int:
    """The last iteration that was logged; 0 if none was."""
    return next((entry['step'] for entry in reversed(list(read_scalars(work_dir))) if 'step' in entry), 0)


def prepare_resume(work_dir: Path, before: float) -> Path | None:
    """Point ``last_checkpoint`` to the latest checkpoint that is whole, and return it; None if there is none.

    A killed training may leave a checkpoint half written, and MMEngine's pointer empty.

    Args:
        work_dir: of the run.
        before: only checkpoints of earlier iterations count.
    """
    pointer = work_dir / 'last_checkpoint'
    found = {
        int(match[1]): path
        for path in work_dir.glob('iter_*.pth')
        if (match := re.fullmatch(r'iter_(\d+)\.pth', path.name))
    }
    for iteration in sorted(found, reverse=True):
        # The directory of the archive that torch.save writes comes last.
        if iteration < before and zipfile.is_zipfile(found[iteration]):
            write_atomically(pointer, str(found[iteration].resolve()))
            return found[iteration]
    pointer.unlink(missing_ok=True)
    return None
