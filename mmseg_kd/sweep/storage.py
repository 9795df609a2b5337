"""Optuna's storages of a sweep: a journal file for workers that share a file system, or a database."""

import contextlib
import os
import time
import warnings
from pathlib import Path
from typing import Any

JOURNAL, DATABASE = 'study.journal', 'study.db'  # earlier versions wrote the database
OPENING_TRIES = 8
LOCK_GRACE = 30  # seconds until the lock of a worker that was killed while it wrote is removed


def open_storage(work_dir: str | Path, url: str | None = None) -> Any:
    """Open Optuna's storage of a sweep, or create it.

    The journal file is meant for shared file systems, such as NFS: its lock is a symbolic link, which is atomic there,
    and a record that a killed worker left incomplete is removed before the next one is written. It holds JSON only.
    The results in ``study.db``, which earlier versions wrote, are copied to a new journal; the file stays as it is.

    Args:
        work_dir: folder of the sweep, which must exist.
        url: URL of a database; the journal file in ``work_dir`` if None.

    Raises:
        ImportError: if Optuna, or the driver of the database, is not installed.
        ValueError: if the database does not answer, or the file is no journal.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError('a sweep needs Optuna: pip install "mmseg-kd[sweep]"') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings('ignore', category=optuna.exceptions.ExperimentalWarning)
    if url is not None:
        return _open_database(url)
    # The target of the lock's link must be absolute, otherwise its age is unknown.
    journal, database = (Path(work_dir).resolve() / name for name in (JOURNAL, DATABASE))
    if database.is_file() and not journal.exists():
        _copy_database(database, journal)
    return _open_journal(journal)


def _open_journal(path: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    class Lock(JournalFileSymlinkLock):
        """Optuna's lock, which also removes the incomplete record of a worker that was killed while it wrote."""

        def acquire(self) -> bool:
            super().acquire()
            remove_incomplete(path)
            return True

        def release(self) -> None:
            # Another worker may have removed the lock of a machine that slept for half a minute.
            with contextlib.suppress(RuntimeError):
                super().release()

    try:
        # A file of one line without an end would look like an incomplete record.
        if path.exists():
            with open(path, 'rb') as file:
                if _byte(file, 0) not in (b'', b'{'):
                    raise ValueError('it does not begin with {')
        return JournalStorage(JournalFileBackend(str(path), Lock(str(path), LOCK_GRACE)))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise ValueError(
            f'{path} must be the journal of a sweep, but cannot be read ({type(error).__name__}: {error}); remove it, '
            'or use another work_dir'
        ) from None


def remove_incomplete(path: Path) -> None:
    """Remove the last line of a journal if it has no end. No worker has read it as a record.

    Args:
        path: path of the journal, whose lock this process holds.

    Example:
        >>> _ = Path('study.journal').write_text('{"op_code":0}\\n{"op_co')
        >>> remove_incomplete(Path('study.journal'))
        >>> Path('study.journal').read_text()
        '{"op_code":0}\\n'
    """
    with open(path, 'rb+') as file:
        end = file.seek(0, os.SEEK_END)
        if not end or _byte(file, end - 1) == b'\n':
            return
        while end and _byte(file, end - 1) != b'\n':
            end -= 1
        file.truncate(end)


def _byte(file: Any, position: int) -> bytes:
    file.seek(position)
    return file.read(1)


def _open_database(url: str, wanted: str = '--storage must be the URL of a database that answers') -> Any:
    import optuna
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    for left in reversed(range(OPENING_TRIES)):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=dict(pool_pre_ping=True))
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            # Workers that start together may all find no tables. All but one then fail to create them.
            if not left:
                try:
                    shown = make_url(url).render_as_string(hide_password=True)
                except SQLAlchemyError:
                    shown = url
                raise ValueError(f'{wanted}, but {shown} gave: {str(error).splitlines()[0]}') from None
            time.sleep(0.5)


def _copy_database(database: Path, journal: Path) -> None:
    """Copy all studies of an earlier version to a journal, which appears when it is complete."""
    import optuna

    wanted = f'{database.name} must be the database of a sweep of an earlier version'
    source = _open_database(f'sqlite:///{database}', wanted)
    copy = journal.with_name(f'{journal.name}.{os.getpid()}.copy')
    target = _open_journal(copy)
    try:
        for name in optuna.get_all_study_names(source):
            optuna.copy_study(from_study_name=name, from_storage=source, to_storage=target)
        with contextlib.suppress(FileExistsError):  # another worker was faster
            os.link(copy, journal)
    finally:
        copy.unlink(missing_ok=True)
