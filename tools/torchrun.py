"""Start the processes of a tool as torchrun does, and end with one line if one of them fails."""

import logging
import signal
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.run import main as torchrun

from mmseg_kd_startup import run_tool

LOST = 3  # that of mmseg_kd.io.rank_failures, which would take seconds to import


def first_failure(error: ChildFailedError) -> tuple[int, ProcessFailure]:
    """Rank and failure of the process that ended the others."""
    followed = (LOST, -signal.SIGTERM)
    causes = [item for item in error.failures.items() if item[1].exitcode not in followed] or [*error.failures.items()]
    return min(causes, key=lambda item: item[1].timestamp)


def main():
    if '--debug' in sys.argv:
        return torchrun()
    logging.disable(logging.ERROR)  # a line for each process, before the failure
    try:
        torchrun()
    except ChildFailedError as error:
        rank, failure = first_failure(error)
        code = failure.exitcode
        if code < 0:
            memory = '; if nobody did that, the machine had too little memory' if code == -signal.SIGKILL else ''
            print(f'error: rank {rank} was killed by {signal.Signals(-code).name}{memory}', file=sys.stderr)
        else:
            print(f'error: rank {rank} failed with exit status {code}; its error is above', file=sys.stderr)
        sys.exit(max(code, 1))


if __name__ == '__main__':
    run_tool(main)
