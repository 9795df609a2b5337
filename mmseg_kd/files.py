"""Files that are written whole or not at all."""
import os
from pathlib import Path
from typing import Union


def write_atomically(path: Path, content: Union[str, bytes]) -> None:
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
