"""The lines of a diagnosis: each is written as soon as its check is done, and no check takes the others down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from ..io.errors import sentence

OK, WARNING, FAILED, SKIPPED = 'ok', 'warning', 'failed', 'skipped'


@dataclass
class Finding:
    """One line: what was looked at, how it is, and, where that is not ``OK``, what to change."""

    check: str
    status: str
    text: str


@dataclass
class Missing:
    """Stands for the result of a check that gave none, so that those which need it are skipped."""

    check: str


class Say:
    """What a check is given to speak through; every call is a line.

    Args:
        write: takes the finding.
        check: its name.
    """

    def __init__(self, write: Callable[[Finding], None], check: str) -> None:
        self._write, self._check = write, check
        self.clean = True
        """Whether nothing was said against it so far."""

    def ok(self, text: str) -> None:
        """All is well."""
        self._write(Finding(self._check, OK, text))

    def warning(self, text: str) -> None:
        """The run would not be ruined, but may not be what was meant."""
        self.clean = False
        self._write(Finding(self._check, WARNING, text))

    def failed(self, text: str) -> None:
        """The run would be ruined."""
        self.clean = False
        self._write(Finding(self._check, FAILED, text))

    def skipped(self, text: str) -> None:
        """Nothing was looked at, and why."""
        self._write(Finding(self._check, SKIPPED, text))


class Diagnosis:
    """Runs checks, and keeps what they found.

    Args:
        out: where the lines go; a terminal also shows what is being looked at.
    """

    def __init__(self, out: TextIO) -> None:
        self.findings: list[Finding] = []
        self._out = out
        self._live = out.isatty()

    @property
    def ruined(self) -> bool:
        """Whether something would ruin the run."""
        return any(finding.status == FAILED for finding in self.findings)

    def run(self, check: str, function: Callable, *args: Any, needs: Sequence[Any] = ()) -> Any:
        """Call ``function(say, *args)``; what it raises is a failure that reads as a sentence.

        Args:
            check: its name.
            function: says what it finds; an exception speaks for itself.
            args: for the function.
            needs: further results of checks without which it makes no sense.

        Returns:
            what the function returns; :class:`Missing` if it raised, or was skipped because an argument or need is one.
        """
        say = Say(self._write, check)
        missing = next((value.check for value in (*args, *needs) if isinstance(value, Missing)), None)
        if missing is not None:
            say.skipped(f'needs "{missing}", see above')
            return Missing(missing)
        if self._live:
            self._out.write(f'\r\x1b[K{"...":<8} {check}')
            self._out.flush()
        try:
            return function(say, *args)
        except Exception as error:
            say.failed(sentence(error))
            return Missing(check)

    def write(self, text: str) -> None:
        """A paragraph of its own."""
        self._out.write(f'{text}\n')
        self._out.flush()

    def verdict(self) -> str:
        """How many findings there are of each kind, and what follows."""
        counts = {
            status: sum(finding.status == status for finding in self.findings)
            for status in (FAILED, WARNING, OK, SKIPPED)
        }
        numbers = ', '.join(f'{count} {status}' for status, count in counts.items() if count)
        return numbers + (': this would ruin the run; mend it from the top' if self.ruined else ': ready to train')

    def _write(self, finding: Finding) -> None:
        self.findings.append(finding)
        start = '\r\x1b[K' if self._live else ''
        self.write(f'{start}{finding.status:<8} {finding.check:<18} {finding.text}')
