"""What a sweep shows while it runs: a live picture on a terminal, and a line for each event elsewhere."""

from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table


class SweepProgress:
    """Bars for the whole sweep and for the run at hand, redrawn in place on a terminal.

    Args:
        total: runs of the sweep.
        out: where to.
    """

    def __init__(self, total: int, out: TextIO) -> None:
        self._total, self._done, self._left = total, 0, None
        console = Console(file=out, highlight=False, emoji=False, soft_wrap=True)
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        if self._live:
            self._live.start()

    def event(self, text: str) -> None:
        """Say something that stays."""
        left = '' if self._live else self._time_left()
        self._console.print(f'[{self._done}/{self._total}] {text}{left}', markup=False)

    def count(self, done: int, total: int, left: float | None) -> None:
        """Say how many runs are over, out of how many, and how many seconds the others need, if that is known."""
        self._done, self._total, self._left = done, total, left

    def draw(self, run: str, iteration: int, iterations: int, note: str, elsewhere: list[tuple[str, str]]) -> None:
        """Show what runs now.

        Args:
            run: its name.
            iteration: that it has reached.
            iterations: of it.
            note: what else is known of it.
            elsewhere: the name and machine of each run of other workers.
        """
        if not self._live:
            return
        grid = Table.grid(padding=(0, 2))
        done = f'{self._done}/{self._total}{self._time_left()}'
        grid.add_row('runs', ProgressBar(self._total, self._done, width=40), done)
        if run:
            grid.add_row(run, ProgressBar(iterations, iteration, width=40), f'{iteration}/{iterations}{note}')
        others = ', '.join(f'{name} on {machine}' for name, machine in elsewhere[:8])
        rest = f' and {len(elsewhere) - 8} more' if len(elsewhere) > 8 else ''
        self._live.update(Group(grid, f'beside it: {others}{rest}' if others else ''), refresh=True)

    def close(self) -> None:
        """Remove the picture; what was said stays."""
        if self._live:
            self._live.stop()

    def _time_left(self) -> str:
        return '' if self._left is None else f', {duration(self._left)} left'


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f'{seconds:.0f} s'
    if seconds < 90 * 60:
        return f'{seconds / 60:.0f} min'
    if seconds < 48 * 3600:
        return f'{seconds / 3600:.1f} h'
    return f'{seconds / 86400:.1f} days'
