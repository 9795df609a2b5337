"""Atomic writes, list files, and searches of folders."""

import codecs
import contextlib
import hashlib
import itertools
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a file atomically: readers see the old content or the new one, never a part, even after a power cut.

    The content goes to a temporary file beside it, which gets the name when it is complete.

    Args:
        path: Path of the file.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        OSError: If the file cannot be written, for example on a full disk. The message names the file, and no partial
            file remains.

    Example:
        >>> write_atomically(Path('labeled.txt'), 'image_1\\nimage_2\\n')
        >>> read_list('labeled.txt')
        ['image_1', 'image_2']
    """
    path = Path(path)
    short = path.name.encode()[:120].decode(errors='ignore')  # file systems allow 255 bytes
    temporary = path.with_name(f'{_TEMPORARY}{_host()}.{os.getpid()}.{next(_COUNT)}.{short}.tmp')
    try:
        with open(temporary, 'wb') as file:
            _lock(file.fileno())  # shows other processes that this one lives
            file.write(content.encode('utf-8') if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            # The system's error names the temporary file, or, on a full disk, none.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def sync_folder(folder: str | Path) -> None:
    """Wait until the names in a folder are on the disk, so that a power cut cannot undo a rename.

    Args:
        folder: Path of the folder. File systems that cannot do so are left alone.

    Example:
        >>> sync_folder('.')
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder: str | Path) -> list[Path]:
    """Remove the temporary files that killed processes left in a folder; those of living processes stay.

    Args:
        folder: Path of the folder, which is searched without its subfolders; it may be missing.

    Returns:
        list[Path]: Removed files.

    Example:
        >>> Path('.mmseg_kd.another_machine.1.0.tmp').touch()
        >>> remove_leftovers('.')  # its process may live; a day later, it is removed
        []
    """
    removed = []
    for path in sorted(Path(folder).glob(f'{_TEMPORARY}*.tmp')):
        with contextlib.suppress(OSError):  # its process, or another one that cleans up, was faster
            if _is_abandoned(path):
                path.unlink()
                removed.append(path)
    return removed


_TEMPORARY = '.mmseg_kd.'
_COUNT = itertools.count()
_DAY = 86400  # seconds


def _host() -> str:
    return re.sub(r'[^\w-]', '_', socket.gethostname())[:64]


def _is_abandoned(path: Path) -> bool:
    host, pid = path.name.removeprefix(_TEMPORARY).split('.')[:2]
    with open(path, 'rb+') as file:
        # Containers on one machine may share its name, but not the numbers of their processes: a lock tells them apart.
        if not _lock(file.fileno()):
            return False
    if fcntl is None or host != _host():  # on Windows, os.kill would end the process
        return time.time() - path.stat().st_mtime > _DAY
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process
        return False
    return False


def _lock(descriptor: int) -> bool:
    """Lock an open file; False if another process has locked it. File systems without locks count as unlocked."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
    return True


def equal_files(paths: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """The files that have a copy, or another name, in a second list.

    Files are equal if all of their bytes are. Only files of the same size are opened, and only those that begin alike
    are read to their end.

    Args:
        paths: Paths of files.
        others: Paths of files to compare with. Paths that name no file are left out.

    Returns:
        dict: an equal file of ``others`` for each file of ``paths`` that has one.

    Example:
        >>> for name in ('a.jpg', 'b.jpg', 'c.jpg'):
        ...     _ = Path(name).write_bytes(b'x' if name == 'c.jpg' else b'yy')
        >>> equal_files(['a.jpg', 'c.jpg'], ['b.jpg', 'd.jpg'])
        {'a.jpg': 'b.jpg'}
    """
    sizes: dict[int, set[str]] = {}
    for other in others:
        if os.path.isfile(other):
            sizes.setdefault(os.path.getsize(other), set()).add(other)
    alike: dict[int, dict[bytes, list[str]]] = {}  # the others by size and beginning
    whole: dict[tuple[int, bytes], dict[str, str]] = {}  # the others by SHA-256, of one size and beginning
    found = {}
    for path in paths:
        size = os.path.getsize(path) if os.path.isfile(path) else -1
        if size not in sizes:
            continue
        if size not in alike:
            alike[size] = {}
            for other in sorted(sizes[size]):
                alike[size].setdefault(_beginning(other), []).append(other)
        beginning = _beginning(path)
        if beginning not in alike[size]:
            continue
        if (size, beginning) not in whole:
            whole[size, beginning] = {file_hash(other): other for other in reversed(alike[size][beginning])}
        equal = whole[size, beginning].get(file_hash(path))
        if equal is not None:
            found[path] = equal
    return found


def _beginning(path: str) -> bytes:
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read(2**16)).digest()


def file_hash(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    Args:
        path: Path of the file; it is read in blocks.

    Raises:
        OSError: If the file cannot be read.

    Example:
        >>> _ = Path('a.bin').write_bytes(b'a')
        >>> file_hash('a.bin')[:8]
        'ca978112'
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_list(path: str | Path) -> list[str]:
    """The lines of a list file, without surrounding white space and without empty lines.

    Args:
        path: Path of a text file, in UTF-8 or in UTF-16 with a byte-order mark. All systems' line ends are accepted.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file is not such a text file.

    Example:
        >>> _ = Path('val.txt').write_bytes(b'image_1\\r\\n\\r\\nimage_2 ')
        >>> read_list('val.txt')
        ['image_1', 'image_2']
    """
    content = Path(path).read_bytes()
    encoding = 'utf-16' if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else 'utf-8-sig'
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} must be a text file in UTF-8, but byte {error.start} is not UTF-8; save it as UTF-8'
        ) from None
    lines = text.replace('\r', '\n').split('\n')
    return [line.strip() for line in lines if line.strip()]


def walk(folder: str | Path) -> Iterator[tuple[Path, list[os.DirEntry]]]:
    """A folder and all folders below it, each with its entries sorted by name.

    Links are followed. Each folder is visited once, even if several links point to it, so circular links end. Its own
    path is preferred to the path of a link. Hidden entries, whose names begin with a dot, are skipped.

    Args:
        folder: Path of the folder.

    Raises:
        OSError: If a folder cannot be read; the message names it.

    Example:
        >>> Path('images/city').mkdir(parents=True)
        >>> Path('images/city/1.png').touch()
        >>> [(folder.as_posix(), [entry.name for entry in entries]) for folder, entries in walk('images')]
        [('images', ['city']), ('images/city', ['1.png'])]
    """
    entered: set[tuple[int, int]] = set()
    folders: list[Path] = [Path(folder)]
    links: list[Path] = []
    # Links come last, so that a folder is visited under its own path and not under the path of a link.
    while folders or links:
        current = folders.pop() if folders else links.pop(0)
        status = os.stat(current)
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(current) as found:
            entries = sorted((entry for entry in found if not entry.name.startswith('.')), key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_dir():
                (links if entry.is_symlink() else folders).append(Path(entry.path))
        yield current, entries


def find_files(folder: str | Path, suffixes: Sequence[str] | None = None) -> list[str]:
    """The files that :func:`walk` finds, as sorted paths relative to ``folder``, with ``/`` between their parts.

    Broken links are listed too, so that reading them gives an error that names them.

    Args:
        folder: Path of the folder.
        suffixes: Endings of the names in upper or lower case, such as ``'.jpg'`` or ``'_labels.png'``; None for all
            files.

    Raises:
        OSError: If a folder cannot be read; the message names it.

    Example:
        >>> Path('data/city').mkdir(parents=True)
        >>> for name in ('city/1.JPG', '2.jpg', 'notes.txt'):
        ...     Path('data', name).touch()
        >>> find_files('data', ['.jpg'])
        ['2.jpg', 'city/1.JPG']
    """
    ends = ('',) if suffixes is None else tuple(suffix.lower() for suffix in suffixes)
    return sorted(
        Path(entry.path).relative_to(folder).as_posix()
        for _, entries in walk(folder)
        for entry in entries
        if entry.name.lower().endswith(ends) and not entry.is_dir()
    )
