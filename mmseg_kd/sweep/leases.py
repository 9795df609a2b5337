"""Leases on work: each run of a sweep is held by one worker, and the runs of a dead worker become free again."""

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

State = tuple[str, int]  # owner and heartbeat of a claim
WORK, OWNER, HEARTBEAT = 'work', 'owner', 'heartbeat'  # keys in the user attributes of a claim


class LeaseLost(RuntimeError):
    """Another worker took over the lease, because this worker had sent no heartbeat for too long.

    Example:
        >>> raise LeaseLost('run 1 is held by another worker')
        Traceback (most recent call last):
        ...
        mmseg_kd.sweep.leases.LeaseLost: run 1 is held by another worker
    """


class Leases:
    """Work items that living workers hold: running trials of a study that is there for this purpose only.

    A worker claims a work item by a trial. Optuna numbers trials without gaps in every storage, so of several running
    claims on one item, the first holds it, and the others are given up. Nobody can change a finished trial, so a holder
    notices that its lease was taken over. The lease of a dead worker may be taken over

    - on the same machine, at once: a worker and the process that it started hold a lock on a file, which the operating
      system releases when both have ended;
    - on another machine, when the heartbeat did not change for ``patience`` seconds. It is a counter, so the clocks of
      the machines may differ.

    Args:
        storage: Optuna's storage.
        name: name of the study of the claims.
        folder: folder for the lock files.
        patience: seconds without a heartbeat after which a worker on another machine counts as dead.
        clock: monotonic clock, in seconds.

    Example:
        >>> from optuna.storages import InMemoryStorage
        >>> leases = Leases(InMemoryStorage(), 'leases', 'locks')
        >>> lease = leases.acquire('run 1')
        >>> leases.acquire('run 1') is None  # one worker at a time
        True
        >>> lease.release()
    """

    def __init__(
        self,
        storage: Any,
        name: str,
        folder: str | Path,
        patience: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        import optuna

        optuna.create_study(study_name=name, storage=storage, load_if_exists=True)
        self._storage, self._study_id = storage, storage.get_study_id_from_name(name)
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._patience, self._clock = patience, clock
        self._seen: dict[str, tuple[State, float]] = {}

    def refresh(self) -> dict[str, str]:
        """Read all leases; the machine that holds each work item."""
        now, before, holders = self._clock(), self._seen, self._holders()
        self._seen = {}
        for work, claim in holders.items():
            state, since = before.get(work, (None, now))
            self._seen[work] = _state(claim), since if state == _state(claim) else now
        return {work: _machine(_state(claim)) for work, claim in holders.items()}

    def acquire(self, work: str) -> Optional['Lease']:
        """Lease a work item that was free, or held by a dead worker, at the last refresh; None if it is taken."""
        held, since = self._seen.get(work, (None, 0.0))
        here = held is not None and _machine(held) == socket.gethostname()
        overdue = held is not None and self._clock() - since >= self._patience
        if held is not None and not here and not overdue:
            return None
        lock = _Lock(self._folder / f'{work.replace("/", "__")}.lock')
        if lock.held_elsewhere:
            return None
        if held is None or self._end_dead(work, held, overdue or lock.file is not None):
            number = self._claim(work)
            if number is not None:
                return Lease(self._storage, work, number, lock)
        lock.release()
        return None

    def wait(self, work: str, seconds: float = 0.2) -> 'Lease':
        """Lease a work item as soon as it is free, with one attempt every ``seconds``."""
        while True:
            self.refresh()
            lease = self.acquire(work)
            if lease is not None:
                return lease
            time.sleep(seconds)

    def _holders(self) -> dict[str, Any]:
        """The claim that holds each work item."""
        from optuna.trial import TrialState

        claims = self._storage.get_all_trials(self._study_id, deepcopy=False, states=(TrialState.RUNNING,))
        holders: dict[str, Any] = {}
        for claim in sorted(claims, key=lambda claim: claim.number):
            holders.setdefault(claim.user_attrs.get(WORK), claim)
        return holders

    def _claim(self, work: str) -> int | None:
        """Claim a work item; the id of the claim, or None if another worker was faster."""
        from optuna.trial import TrialState, create_trial

        owner = f'{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}'
        claim = create_trial(state=TrialState.RUNNING, user_attrs={WORK: work, OWNER: owner, HEARTBEAT: 0})
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=claim)
        if self._holders()[work]._trial_id == trial_id:
            return trial_id
        end_claim(self._storage, trial_id)
        return None

    def _end_dead(self, work: str, held: State, dead: bool) -> bool:
        """End the claim of a dead worker, unless it changed since the last refresh; whether the work item is free."""
        claim = self._holders().get(work)
        if claim is None:
            return True
        if not dead or _state(claim) != held:
            return False
        end_claim(self._storage, claim._trial_id)
        return True


class Lease:
    """A work item that this worker holds. Made by :meth:`Leases.acquire`.

    Args:
        storage: Optuna's storage.
        work: name of the work item.
        claim: id of the trial that claims it.
        lock: lock on the work item's file.

    Example:
        >>> from optuna.storages import InMemoryStorage
        >>> lease = Leases(InMemoryStorage(), 'leases', 'locks').wait('run 1')
        >>> lease.renew()
        >>> lease.release()
    """

    def __init__(self, storage: Any, work: str, claim: int, lock: '_Lock') -> None:
        self._storage, self.work, self._claim, self._lock = storage, work, claim, lock
        self._heartbeat = 0

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptor of the locked file, which processes that do the work should inherit; empty without a lock."""
        return () if self._lock.file is None else (self._lock.file,)

    def renew(self) -> None:
        """Send a heartbeat.

        Raises:
            LeaseLost: if another worker holds the lease by now.
        """
        from optuna.exceptions import UpdateFinishedTrialError

        self._heartbeat += 1
        try:
            self._storage.set_trial_user_attr(self._claim, HEARTBEAT, self._heartbeat)
        except UpdateFinishedTrialError:
            raise LeaseLost(f'{self.work} was taken over by another worker') from None

    def release(self) -> None:
        """Give the lease back."""
        end_claim(self._storage, self._claim)
        self._lock.release()


def end_claim(storage: Any, claim: int) -> None:
    """End a claim, unless it has ended.

    Args:
        storage: Optuna's storage.
        claim: id of the trial.
    """
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    with contextlib.suppress(UpdateFinishedTrialError):
        storage.set_trial_state_values(claim, TrialState.FAIL)


def _state(claim: Any) -> State:
    return str(claim.user_attrs.get(OWNER)), claim.user_attrs.get(HEARTBEAT)


def _machine(state: State) -> str:
    return state[0].split()[0]


class _Lock:
    """A lock on a file, held as long as this process, or one that inherited the descriptor, lives.

    The file is never removed: a removal would race with processes that open it.
    """

    def __init__(self, path: Path) -> None:
        import fcntl

        self.file: int | None = os.open(path, os.O_RDWR | os.O_CREAT)
        self.held_elsewhere = False
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.held_elsewhere = True
            self.release()
        except OSError:  # a file system without locks: only heartbeats tell who lives
            self.release()

    def release(self) -> None:
        if self.file is not None:
            import fcntl

            with contextlib.suppress(OSError):
                # Closing alone would keep the lock while a process that inherited the descriptor is still ending.
                fcntl.flock(self.file, fcntl.LOCK_UN)
            os.close(self.file)
            self.file = None
