"""Which of several workers does what, so that nothing is done twice, and nothing left behind by a worker that dies."""

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Optional

SECONDS_FOR_A_LOCK = 120
Beat = tuple[str, int]


class ClaimLost(RuntimeError):
    """Another worker took a piece of work over, because this one had shown no sign of life for too long."""


class Claims:
    """Pieces of work that living workers hold: rows of a table, which a worker inserts, renews and deletes.

    To insert a row whose key is taken fails in any database, and so does to change one that somebody else changed
    meanwhile; so one of several workers gets the work. A row that its worker left behind may be taken over

    - on the same machine at once: a worker, and the process that it started, hold a lock on a file, which the operating
      system drops when both are gone;
    - on other machines when the row was not renewed for ``patience``. Only the change of a counter is observed, so the
      clocks of the machines don't matter.

    Args:
        url: of the database, as SQLAlchemy writes it.
        folder: for the files that are locked.
        patience: seconds without a sign of life after which a worker of another machine counts as dead.
        clock: seconds that never run backwards.
    """

    def __init__(
        self, url: str, folder: str | Path, patience: float = 120.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        import sqlalchemy as sql

        self._sql = sql
        self._engine = sql.create_engine(url, **engine_arguments(url))
        self._table = sql.Table(
            'mmseg_kd_claims',
            sql.MetaData(),
            sql.Column('work', sql.String(255), primary_key=True),
            sql.Column('owner', sql.String(255), nullable=False),
            sql.Column('beat', sql.Integer, nullable=False),
        )
        try:
            self._table.create(self._engine, checkfirst=True)
        except sql.exc.SQLAlchemyError:
            if not sql.inspect(self._engine).has_table(self._table.name):  # else another worker was faster
                raise
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._patience, self._clock = patience, clock
        self._seen: dict[str, tuple[Beat, float]] = {}

    def survey(self) -> dict[str, str]:
        """Look who holds what: the machine of each piece of work that is claimed."""
        with self._engine.connect() as connection:
            rows = connection.execute(self._sql.select(*self._table.c)).all()
        now, before = self._clock(), self._seen
        self._seen = {}
        for work, owner, beat in rows:
            seen, since = before.get(work, (None, now))
            self._seen[work] = (owner, beat), since if seen == (owner, beat) else now
        return {work: owner.split()[0] for work, owner, _ in rows}

    def take(self, work: str) -> Optional['Claim']:
        """Claim a piece of work that nobody held at the last survey, or a dead worker did; None if somebody has it."""
        beat, since = self._seen.get(work, (None, 0.0))
        here = beat is not None and beat[0].split()[0] == socket.gethostname()
        overdue = beat is not None and self._clock() - since >= self._patience
        if beat is not None and not here and not overdue:
            return None
        lock = _Lock(self._folder / f'{work.replace("/", "__")}.lock')
        owner = f'{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}'
        if lock.held_elsewhere:
            return None
        if beat is None:
            taken = self._insert(work, owner)
        else:
            dead = overdue or here and lock.file is not None
            taken = dead and self._update(work, *beat, owner=owner, beat=beat[1] + 1)
        if taken:
            return Claim(self, work, owner, lock)
        lock.release()
        return None

    def wait(self, work: str, seconds: float = 0.2) -> 'Claim':
        """Claim a piece of work as soon as it is free; look every so many seconds."""
        while True:
            self.survey()
            claim = self.take(work)
            if claim is not None:
                return claim
            time.sleep(seconds)

    def _insert(self, work: str, owner: str) -> bool:
        try:
            with self._engine.begin() as connection:
                connection.execute(self._table.insert().values(work=work, owner=owner, beat=0))
        except self._sql.exc.IntegrityError:
            return False
        return True

    def _update(self, work: str, was: str, at: int | None = None, **values) -> bool:
        columns = self._table.c
        where = [columns.work == work, columns.owner == was] + ([] if at is None else [columns.beat == at])
        with self._engine.begin() as connection:
            return connection.execute(self._table.update().where(*where).values(**values)).rowcount == 1

    def _delete(self, work: str, owner: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(self._table.delete().where(self._table.c.work == work, self._table.c.owner == owner))


class Claim:
    """A piece of work that this worker holds. Made by :meth:`Claims.take`.

    Args:
        claims: the table.
        work: what is held.
        owner: by whom.
        lock: on the file.
    """

    def __init__(self, claims: Claims, work: str, owner: str, lock: '_Lock') -> None:
        self._claims, self.work, self._owner, self._lock = claims, work, owner, lock

    @property
    def file(self) -> tuple[int, ...]:
        """The locked file's descriptor, which a process that works on the same thing should inherit; or none."""
        return () if self._lock.file is None else (self._lock.file,)

    def renew(self) -> None:
        """Give a sign of life.

        Raises:
            ClaimLost: if the work is somebody else's by now.
        """
        if not self._claims._update(self.work, self._owner, beat=self._claims._table.c.beat + 1):
            raise ClaimLost(f'{self.work} was taken over by another worker')

    def release(self) -> None:
        """Give the work back."""
        self._claims._delete(self.work, self._owner)
        self._lock.release()


class _Lock:
    """A lock on a file, for as long as this process, or one that inherited the descriptor, lives.

    The file stays when the lock goes: to remove it would race with whoever opens it.
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
        except OSError:  # a file system without locks: the signs of life have to do
            self.release()

    def release(self) -> None:
        if self.file is not None:
            import fcntl

            with contextlib.suppress(OSError):
                # Closing would not do while a process that inherited the descriptor is still on its way out.
                fcntl.flock(self.file, fcntl.LOCK_UN)
            os.close(self.file)
            self.file = None


def engine_arguments(url: str) -> dict:
    """What SQLAlchemy's engine needs for a database: with SQLite, patience while another worker writes."""
    return dict(connect_args=dict(timeout=SECONDS_FOR_A_LOCK)) if url.startswith('sqlite') else dict(pool_pre_ping=True)
