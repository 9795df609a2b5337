"""A clear end where the limit of open files would make a data loader hang."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from typing import Any

STATUS = errno.EMFILE  # of a process of a data loader


class OpenFilesError(OSError):
    """The limit of open files is too low for the data loaders."""


class CheckedWorker:
    """A ``worker_init_fn`` with which processes of a data loader end when they run out of open files.

    Otherwise such a process only prints a traceback, and the main process waits for its batch for ever.

    Args:
        init: The ``worker_init_fn`` that the data loader had; None for none.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> [batch.tolist() for batch in DataLoader([1, 2], worker_init_fn=CheckedWorker(None))]
        [[1], [2]]
    """

    def __init__(self, init: Callable[[int], Any] | None) -> None:
        self._init = init

    def __call__(self, worker: int) -> None:
        if self._init is not None:
            self._init(worker)
        # Threads send the batches: one feeds a queue, and one passes on the open files that hold the tensors.
        Queue._on_queue_feeder_error = staticmethod(_feeder_error(Queue._on_queue_feeder_error))  # type: ignore
        before = sys.excepthook

        def excepthook(kind: Any, error: BaseException, trace: Any) -> None:
            _end_if_short(error)
            if not isinstance(error, _GONE):
                before(kind, error, trace)

        sys.excepthook = excepthook


@contextlib.contextmanager
def open_files_explained() -> Iterator[None]:
    """Turn the errors of a process that runs out of open files into one line with the remedies.

    Raises:
        OpenFilesError: If an error within the block has this cause.

    Example:
        >>> import errno
        >>> with open_files_explained():
        ...     raise OSError(errno.EMFILE, 'Too many open files')
        Traceback (most recent call last):
        ...
        mmseg_kd.io.open_files.OpenFilesError: the data loaders need more open files than the limit of ...
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not _is_short(error):
            raise
        raise OpenFilesError(
            f'the data loaders need more open files than the limit of {_limit()} for each process; run `ulimit -n '
            '4096` before the start, or lower num_workers, prefetch_factor or batch_size of the data loaders, or call '
            "torch.multiprocessing.set_sharing_strategy('file_system') in a module of custom_imports"
        ) from error


_GONE = (ConnectionError, EOFError)  # the main process ends, for example by Ctrl-C, and says why


def _feeder_error(before: Callable[[Exception, Any], None]) -> Callable[[Exception, Any], None]:
    def feeder_error(error: Exception, item: Any) -> None:
        _end_if_short(error)
        if not isinstance(error, _GONE):
            before(error, item)

    return feeder_error


def _end_if_short(error: BaseException) -> None:
    if _is_short(error):
        os._exit(STATUS)


def _is_short(error: BaseException | None) -> bool:
    if error is None:
        return False
    text = str(error)
    return (
        getattr(error, 'errno', None) == errno.EMFILE
        or os.strerror(errno.EMFILE) in text
        or 'items of ancdata' in text
        or ('DataLoader worker' in text and f'exit code {STATUS}' in text.replace('code: ', 'code '))
        or _is_short(error.__cause__)
    )


def _limit() -> int | str:
    try:
        import resource
    except ImportError:  # Windows
        return 'this system'
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
