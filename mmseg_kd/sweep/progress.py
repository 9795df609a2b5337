"""Progress of a sweep: live bars on a terminal, and one line for each event elsewhere."""

from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from ..io.progress import duration


class SweepProgress:
    """Bars of the whole sweep and of the current run, refreshed in place on a terminal.

    Args:
        total: number of runs.
        out: output stream.

    Example:
        >>> import sys
        >>> progress = SweepProgress(2, sys.stdout)
        >>> progress.count(1, 2, left=600.0)
        >>> progress.event('tune/cwd/0_seed0 complete')
        [1/2] tune/cwd/0_seed0 complete, 10 min left
    """

    def __init__(self, total: int, out: TextIO) -> None:
        self._total, self._done = total, 0
        self._left: float | None = None
        console = Console(file=out, highlight=False, emoji=False, soft_wrap=True)
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        if self._live:
            self._live.start()

    def event(self, text: str) -> None:
        """Print a line that stays."""
        left = '' if self._live else self._time_left()
        self._console.print(f'[{self._done}/{self._total}] {text}{left}', markup=False)

    def count(self, done: int, total: int, left: float | None) -> None:
        """Set the number of finished runs and of all runs, and the seconds that the rest needs; None if unknown."""
        self._done, self._total, self._left = done, total, left

    def refresh(self, run: str, iteration: int, iterations: int, note: str, elsewhere: list[tuple[str, str]]) -> None:
        """Show the current run and those of other workers.

        Args:
            run: name of the current run; empty without one.
            iteration: last iteration of the run.
            iterations: length of the run.
            note: text after the bar.
            elsewhere: name and machine of each run of another worker.
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
        self._live.update(Group(grid, f'other workers: {others}{rest}' if others else ''), refresh=True)

    def close(self) -> None:
        """Remove the bars; printed lines stay."""
        if self._live:
            self._live.stop()

    def _time_left(self) -> str:
        return '' if self._left is None else f', {duration(self._left)} left'
