"""Progress of a task, on a terminal or in a log.

This line needs no cleanup after an error, whereas rich.progress hides the cursor and runs a thread until it is stopped.
"""

import time
from typing import TextIO


class ProgressLine:
    """One line with the progress of a task. A terminal shows it live; elsewhere only the result is written.

    Args:
        title: Name of the task.
        total: Number of steps.
        out: Stream to write to.

    Example:
        >>> import sys
        >>> line = ProgressLine('label maps', 10, sys.stdout)
        >>> line.update(5)
        >>> line.close('10 read')
        label maps                10 read
    """

    def __init__(self, title: str, total: int, out: TextIO) -> None:
        self._title, self._total, self._out = title, total, out
        self._begin = self._shown = time.monotonic()
        self._live = out.isatty()

    def update(self, done: int, total: int | None = None, note: str = '') -> None:
        """Show that ``done`` of ``total`` steps are done, followed by ``note``."""
        now = time.monotonic()
        if not self._live or now - self._shown < 0.1:
            return
        self._shown, total = now, total or self._total
        left = (now - self._begin) / done * (total - done)
        bar = ('=' * (24 * done // total)).ljust(24)
        self._write(f'[{bar}] {done}/{total}, {left:.0f} s left{note}')

    def close(self, result: str) -> None:
        """Replace the bar with the result."""
        self._write(result)
        self._out.write('\n')

    def _write(self, text: str) -> None:
        self._out.write(('\r\x1b[K' if self._live else '') + f'{self._title:<25} {text}')
        self._out.flush()


def duration(seconds: float) -> str:
    """A duration with a suitable unit.

    Args:
        seconds: Duration in seconds.

    Example:
        >>> duration(0.4), duration(7200)
        ('0.4 s', '2.0 h')
    """
    if seconds < 90:
        return f'{round(seconds, 1 if seconds < 10 else None):g} s'
    if seconds < 90 * 60:
        return f'{seconds / 60:.0f} min'
    if seconds < 48 * 3600:
        return f'{seconds / 3600:.1f} h'
    return f'{seconds / 86400:.1f} days'
