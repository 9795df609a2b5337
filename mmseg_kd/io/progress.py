"""How far something is, on a terminal or in a log."""

import time
from typing import TextIO


class ProgressLine:
    """One line that says how far something is: redrawn in place on a terminal, and written once, at its end, elsewhere.

    Args:
        title: what it is.
        total: its steps.
        out: where to.
    """

    def __init__(self, title: str, total: int, out: TextIO) -> None:
        self._title, self._total, self._out = title, total, out
        self._begin = self._shown = time.monotonic()
        self._live = out.isatty()

    def update(self, done: int, total: int | None = None, note: str = '') -> None:
        """Show that ``done`` steps are done; ``note`` follows the bar."""
        now = time.monotonic()
        if not self._live or now - self._shown < 0.1:
            return
        self._shown, total = now, total or self._total
        left = (now - self._begin) / done * (total - done)
        bar = ('=' * (24 * done // total)).ljust(24)
        self._write(f'[{bar}] {done}/{total}, {left:.0f} s left{note}')

    def close(self, result: str) -> None:
        """Replace the bar by the result."""
        self._write(result)
        self._out.write('\n')

    def _write(self, text: str) -> None:
        self._out.write(('\r\x1b[K' if self._live else '') + f'{self._title:<25} {text}')
        self._out.flush()
