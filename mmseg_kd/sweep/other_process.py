"""Functions that run in another process, which frees the memory of the device at its end."""

import json
import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .leases import Lease
from .training_process import TrainingProcess, python_command

Say = Callable[[str], None]

ANSWER = """
import sys
from mmseg_kd.sweep.other_process import answer
answer(*sys.argv[1:])
"""


class OtherProcessError(RuntimeError):
    """Another process failed.

    Example:
        >>> raise OtherProcessError('exit code 1: ValueError: no room')
        Traceback (most recent call last):
        ...
        mmseg_kd.sweep.other_process.OtherProcessError: exit code 1: ValueError: no room
    """


def call_in_other_process(
    function: Callable[[Any, Say], Any],
    argument: Any,
    log: Path,
    say: Say,
    lease: Lease | None = None,
    heartbeat: float = 10.0,
    poll: float = 1.0,
) -> Any:
    """The result of ``function(argument, say)`` in another process, which is stopped if this one ends.

    Args:
        function: function of a module, with a result that JSON can hold. The lines that it says are passed on.
        argument: argument of the function.
        log: file to which the output of the process is appended.
        say: function that is called with each line.
        lease: lease that is renewed meanwhile; None if there is none.
        heartbeat: seconds between two renewals.
        poll: seconds between two checks.

    Raises:
        OtherProcessError: if the process fails, with its exit code and its error.
        LeaseLost: if another worker has taken the lease.
    """
    # The other process unpickles the request, so it lies in a folder that nobody else can write into.
    with tempfile.TemporaryDirectory() as private:
        asked, told, answered = (Path(private, name) for name in ('asked', 'told', 'answered'))
        asked.write_bytes(pickle.dumps((function, argument)))
        told.touch()
        command = python_command(ANSWER, asked, told, answered)
        renewed = time.monotonic()
        code: int | None = None
        with TrainingProcess(command, log, lease.descriptors if lease else ()) as process, told.open() as lines:
            while code is None:
                code = process.wait(min(poll, heartbeat))
                if lease and time.monotonic() - renewed >= heartbeat:
                    lease.renew()
                    renewed = time.monotonic()
                for line in lines.read().splitlines():
                    say(line)
        if code:
            raise OtherProcessError(f'exit code {code}: {process.error_summary()}')
        return json.loads(answered.read_text())


def answer(asked: str, told: str, answered: str) -> None:
    """Call the function that another process asks for.

    Args:
        asked: file with the pickled function and argument, from a folder that nobody else can write into.
        told: file to which the lines of the function are appended.
        answered: file for the result.
    """
    function, argument = pickle.loads(Path(asked).read_bytes())
    with open(told, 'a') as out:
        result = function(argument, lambda line: print(line, file=out, flush=True))
    Path(answered).write_text(json.dumps(result))
