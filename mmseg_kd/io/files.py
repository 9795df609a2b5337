"""Files that are written whole or not at all; lists of names; and the files in a folder."""

import codecs
import os
from collections.abc import Iterator, Sequence
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file that is seen with its old content or with the new one, and never between, also after a power cut.

    Args:
        path: of the file.
        content: text is written as UTF-8.

    Raises:
        OSError: naming the file, if it cannot be written, as on a full disk; nothing is left behind then.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with open(temporary, 'wb') as file:
            file.write(content.encode('utf-8') if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        # Of a full disk, the system does not say which file was too much.
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def read_list(path: str | Path) -> list[str]:
    """The lines of a list file, without the white space around them; empty lines count for nothing.

    Args:
        path: of the file, in UTF-8 or in UTF-16 with a byte-order mark (BOM); a BOM is no part of the first line, and
            lines may end as on any system.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no such text.
    """
    content = Path(path).read_bytes()
    encoding = 'utf-16' if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else 'utf-8-sig'
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} must be a text file in UTF-8, but byte {error.start} is none of it; save it as UTF-8'
        ) from None
    lines = text.replace('\r', '\n').split('\n')
    return [line.strip() for line in lines if line.strip()]


def walk(folder: str | Path) -> Iterator[tuple[Path, list[os.DirEntry]]]:
    """A folder and all folders below it, each with its entries in the order of their names.

    Links are followed. A folder that several links lead to is entered once, under its own path if that lies below
    ``folder``; so links that lead in a circle end, and nothing is found twice. Hidden entries, whose names begin with a
    dot, are passed over.

    Args:
        folder: path of the folder.

    Raises:
        OSError: naming the folder, if one cannot be read.
    """
    entered: set[tuple[int, int]] = set()
    folders, links = [Path(folder)], []
    # Links come last, so that a folder is entered under its own path and not under that of a link to it.
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
    """The files that :func:`walk` meets, as sorted paths below ``folder`` with ``/`` between their parts.

    A link to a file that is gone is listed, so that whoever reads it names it.

    Args:
        folder: path of the folder.
        suffixes: ends of the names, such as ``'.jpg'`` or ``'_labels.png'``, in whatever case; None for all files.

    Raises:
        OSError: as :func:`walk`.
    """
    ends = ('',) if suffixes is None else tuple(suffix.lower() for suffix in suffixes)
    return sorted(
        Path(entry.path).relative_to(folder).as_posix()
        for _, entries in walk(folder)
        for entry in entries
        if entry.name.lower().endswith(ends) and not entry.is_dir()
    )
