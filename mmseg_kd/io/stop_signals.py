"""Ends on request: signals of schedulers and terminals that stop a process without loss."""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import torch.distributed as dist
from mmengine.dist import get_rank

# A scheduler sends SIGTERM; SLURM's --signal=USR1@120 announces the end of the time.
SIGNALS = tuple(getattr(signal, name) for name in ('SIGTERM', 'SIGUSR1') if hasattr(signal, name))
STATUS = 'MMSEG_KD_STOP_STATUS'


class Stopped(SystemExit):
    """A signal ended the process on request. The exit status is 0, or that of ``MMSEG_KD_STOP_STATUS``."""

    def __init__(self) -> None:
        super().__init__(int(os.environ.get(STATUS, 0)))


@contextlib.contextmanager
def stop_signals(advice: str, numbers: Sequence[int] = SIGNALS) -> Iterator[None]:
    """End with one line and :class:`Stopped` when a signal arrives, instead of being killed.

    Signals with another handler than the system's keep it, and so do all signals outside of the main thread.

    Args:
        advice: Half a sentence about how to go on.
        numbers: Numbers of the signals.

    Raises:
        Stopped: At once when a signal arrives; after :func:`defer`, when :func:`stop` is called.

    Example:
        >>> with stop_signals('the same command continues'):
        ...     requested() is None
        True
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    process, outermost, before = os.getpid(), not _state.depth, _state.deferred

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            signal.signal(number, signal.SIG_DFL)
            return os.kill(os.getpid(), number)
        _state.signal = _state.signal or signal.Signals(number).name
        if not _state.deferred:
            stop(advice)

    _state.depth += 1
    for number in taken:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
        _state.depth -= 1
        _state.deferred = before
        pending = None if outermost or before else _state.signal
        if outermost:
            _state.signal = None
    if pending:
        stop(advice)


class PatientWorker:
    """A ``worker_init_fn`` with which the processes of a data loader end with the main process, and not before it.

    A scheduler sends its signal to all processes of a job. The main process still needs batches for its last step, and
    it fails as soon as one of its workers is killed.

    Args:
        init: The ``worker_init_fn`` that the data loader had; None for none.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> [batch.tolist() for batch in DataLoader([1, 2], worker_init_fn=PatientWorker(None))]
        [[1], [2]]
    """

    def __init__(self, init: Callable[[int], Any] | None) -> None:
        self._init = init

    def __call__(self, worker: int) -> None:
        if self._init is not None:
            self._init(worker)
        if hasattr(signal, 'sigwaitinfo'):  # Linux
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            threading.Thread(target=_obey_parent, daemon=True).start()


def _obey_parent() -> None:
    """End this process when its parent terminates it; a handler would not learn who sent the signal."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


def defer() -> None:
    """Let signals wait for :func:`stop` until the innermost :func:`stop_signals` block ends.

    Steps of work that must not be interrupted need this.

    Example:
        >>> with stop_signals('the same command continues'):
        ...     defer()
    """
    _state.deferred = _state.depth > 0


def requested() -> str | None:
    """Name of the signal that arrived, such as ``'SIGTERM'``; None if there was none.

    Example:
        >>> requested() is None
        True
    """
    return _state.signal


def stop(advice: str) -> None:
    """End the process on request of a signal.

    Args:
        advice: Half a sentence about how to go on.

    Raises:
        Stopped: Always.
    """
    if get_rank() == 0:
        # A print within a signal handler may meet the stream in the middle of another print.
        name = _state.signal or 'a signal to another process'
        os.write(2, f'\nstopped by {name}: {advice}\n'.encode())
    stopped = Stopped()
    leave(int(stopped.code or 0))
    raise stopped


def leave(status: int) -> None:
    """End the process at once if it uses gloo; return otherwise.

    Gloo's threads may abort a process during a normal exit, even after the group was left, and its launcher would then
    report the finished work as failed. Buffers are flushed, and all other cleanup is skipped.

    Args:
        status: Exit status.
    """
    if dist.is_initialized() and dist.get_backend() == 'gloo':
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class _State:
    signal: str | None = None
    deferred = False
    depth = 0


_state = _State()
