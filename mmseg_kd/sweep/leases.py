"""Leases on work: each run of a sweep is held by one worker, and the runs of a dead worker become free again."""

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Optional

LOCK_TIMEOUT = 120  # seconds
# Databases of running sweeps have these names.
TABLE, HEARTBEAT_COLUMN = 'mmseg_kd_claims', 'beat'
Heartbeat = tuple[str, int]


class LeaseLost(RuntimeError):
    """Another worker took over the lease, because this worker had sent no heartbeat for too long.

    Example:
        >>> raise LeaseLost('run 1 is held by another worker')
        Traceback (most recent call last):
        ...
        mmseg_kd.sweep.leases.LeaseLost: run 1 is held by another worker
    """


class Leases:
    """Work items that living workers hold: rows of a database table, which a worker inserts, renews and deletes.

    In any database, inserting a row with an existing key fails, and so does an update of a row that another worker has
    changed in the meantime. Therefore only one worker gets the lease. The lease of a dead worker may be taken over

    - on the same machine, at once: a worker and the process that it started hold a lock on a file, which the operating
      system releases when both have ended;
    - on another machine, when the row was not renewed for ``patience`` seconds. Only changes of a counter are observed,
      so the clocks of the machines may differ.

    Args:
        url: SQLAlchemy URL of the database.
        folder: folder for the lock files.
        patience: seconds without a heartbeat after which a worker on another machine counts as dead.
        clock: monotonic clock, in seconds.

    Example:
        >>> leases = Leases('sqlite:///study.db', 'locks')
        >>> lease = leases.acquire('run 1')
        >>> leases.acquire('run 1') is None  # one worker at a time
        True
        >>> lease.release()
    """

    def __init__(
        self, url: str, folder: str | Path, patience: float = 120.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        import sqlalchemy as sql

        self._sql = sql
        self._engine = sql.create_engine(url, **engine_arguments(url))
        self._table = sql.Table(
            TABLE,
            sql.MetaData(),
            sql.Column('work', sql.String(255), primary_key=True),
            sql.Column('owner', sql.String(255), nullable=False),
            sql.Column(HEARTBEAT_COLUMN, sql.Integer, key='heartbeat', nullable=False),
        )
        try:
            self._table.create(self._engine, checkfirst=True)
        except sql.exc.SQLAlchemyError:
            if not sql.inspect(self._engine).has_table(TABLE):  # otherwise another worker created it first
                raise
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._patience, self._clock = patience, clock
        self._seen: dict[str, tuple[Heartbeat, float]] = {}

    def refresh(self) -> dict[str, str]:
        """Read all leases; the machine that holds each work item."""
        with self._engine.connect() as connection:
            rows = connection.execute(self._sql.select(*self._table.c)).all()
        now, before = self._clock(), self._seen
        self._seen = {}
        for work, owner, count in rows:
            seen, since = before.get(work, (None, now))
            self._seen[work] = (owner, count), since if seen == (owner, count) else now
        return {work: owner.split()[0] for work, owner, _ in rows}

    def acquire(self, work: str) -> Optional['Lease']:
        """Lease a work item that was free, or held by a dead worker, at the last refresh; None if it is taken."""
        heartbeat, since = self._seen.get(work, (None, 0.0))
        here = heartbeat is not None and heartbeat[0].split()[0] == socket.gethostname()
        overdue = heartbeat is not None and self._clock() - since >= self._patience
        if heartbeat is not None and not here and not overdue:
            return None
        lock = _Lock(self._folder / f'{work.replace("/", "__")}.lock')
        owner = f'{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}'
        if lock.held_elsewhere:
            return None
        if heartbeat is None:
            acquired = self._insert(work, owner)
        else:
            dead = overdue or here and lock.file is not None
            acquired = dead and self._update(work, *heartbeat, owner=owner, heartbeat=heartbeat[1] + 1)
        if acquired:
            return Lease(self, work, owner, lock)
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

    def _insert(self, work: str, owner: str) -> bool:
        try:
            with self._engine.begin() as connection:
                connection.execute(self._table.insert().values(work=work, owner=owner, heartbeat=0))
        except self._sql.exc.IntegrityError:
            return False
        return True

    def _update(self, work: str, old_owner: str, count: int | None = None, **values) -> bool:
        columns = self._table.c
        where = [columns.work == work, columns.owner == old_owner]
        where += [] if count is None else [columns.heartbeat == count]
        with self._engine.begin() as connection:
            return connection.execute(self._table.update().where(*where).values(**values)).rowcount == 1

    def _delete(self, work: str, owner: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(self._table.delete().where(self._table.c.work == work, self._table.c.owner == owner))


class Lease:
    """A work item that this worker holds. Made by :meth:`Leases.acquire`.

    Args:
        leases: table of all leases.
        work: name of the work item.
        owner: name of the worker, unique for each lease.
        lock: lock on the work item's file.

    Example:
        >>> lease = Leases('sqlite:///study.db', 'locks').wait('run 1')
        >>> lease.renew()
        >>> lease.release()
    """

    def __init__(self, leases: Leases, work: str, owner: str, lock: '_Lock') -> None:
        self._leases, self.work, self._owner, self._lock = leases, work, owner, lock

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptor of the locked file, which processes that do the work should inherit; empty without a lock."""
        return () if self._lock.file is None else (self._lock.file,)

    def renew(self) -> None:
        """Send a heartbeat.

        Raises:
            LeaseLost: if another worker holds the lease by now.
        """
        if not self._leases._update(self.work, self._owner, heartbeat=self._leases._table.c.heartbeat + 1):
            raise LeaseLost(f'{self.work} was taken over by another worker')

    def release(self) -> None:
        """Give the lease back."""
        self._leases._delete(self.work, self._owner)
        self._lock.release()


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


def engine_arguments(url: str) -> dict:
    """Arguments of SQLAlchemy's engine for a database; with SQLite, a long timeout while another worker writes.

    Example:
        >>> engine_arguments('postgresql://host/study')
        {'pool_pre_ping': True}
    """
    return dict(connect_args=dict(timeout=LOCK_TIMEOUT)) if url.startswith('sqlite') else dict(pool_pre_ping=True)
