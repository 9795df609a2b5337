"""Which process failed first, so that the others do not hide its error behind their own."""

import sys

LOST = 3  # exit status of a process that ended because another one failed
KEY = 'mmseg_kd/first_failure'
# What gloo, NCCL and the store say if another process is gone; gloo raises plain RuntimeErrors.
GONE = (
    'connection closed',
    'connection reset',
    'socket closed',
    'broken pipe',
    'ncclremoteerror',
    'failed to recv, got 0',
)


def after_another(error: BaseException, text: str) -> str | None:
    """One line about the process that failed first, if it is not this one; None if this one was first, or is alone.

    The first process that calls this leaves its rank and its error in the store of the process group, where the others
    find it, on every machine.

    Args:
        error: Exception that ended this process.
        text: The exception as one line.
    """
    if not is_connected():
        return None
    import torch.distributed as dist

    if dist.get_world_size() == 1:
        return None
    rank = dist.get_rank()
    first, reason = _first_failure(rank, 'lost the connection to another process' if is_lost(error) else text)
    if first != rank:
        if text == reason:
            return f'rank {rank} stops, since rank {first} failed in the same way'
        own = '' if is_lost(error) else f'; here: {text}'
        return f'rank {rank} stops, since rank {first} failed: {reason}{own}'
    if is_lost(error):
        return (
            f'rank {rank} lost the connection to another process, which left no error: it was killed (by hand, or for '
            f'its memory), or its machine is gone; the launcher names it ({text})'
        )
    return None


def is_connected() -> bool:
    """Whether this process belongs to a process group."""
    dist = sys.modules.get('torch.distributed')
    return dist is not None and dist.is_available() and dist.is_initialized()


def is_lost(error: BaseException) -> bool:
    """Whether an exception says that another process is gone.

    Args:
        error: Exception that was caught.

    Example:
        >>> is_lost(RuntimeError('gloo: Connection closed by peer')), is_lost(RuntimeError('NCCL: duplicate GPU'))
        (True, False)
    """
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in GONE)


def _first_failure(rank: int, text: str) -> tuple[int, str]:
    from torch.distributed import distributed_c10d

    try:
        store = distributed_c10d._get_default_store()
        found = store.compare_set(KEY, '', f'{rank} {text}').decode()
    except RuntimeError:
        return 0, 'the store of the process group, which it keeps, is gone'
    first, _, reason = found.partition(' ')
    return int(first), reason
