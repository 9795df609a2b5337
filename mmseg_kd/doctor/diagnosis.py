"""Findings of a diagnosis: each is printed at once, and an error in one check does not stop the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from ..io.errors import sentence

OK, WARNING, FAILED, SKIPPED = 'ok', 'warning', 'failed', 'skipped'


@dataclass
class Finding:
    """One line of the diagnosis: name of the check, status, and result; problems name the remedy.

    Example:
        >>> Finding('losses', 'ok', 'decode.loss_ce 1.2').status
        'ok'
    """

    check: str
    status: str
    text: str


@dataclass
class Missing:
    """The result of a check that failed or was skipped; checks that need it are skipped too.

    Example:
        >>> Missing('student').check
        'student'
    """

    check: str


class Reporter:
    """Receiver of the findings of one check; every call prints a line.

    Args:
        write: function that receives a finding.
        check: name of the check.

    Example:
        >>> report = Reporter(print, 'losses')
        >>> report.warning('loss_pi is 0')
        Finding(check='losses', status='warning', text='loss_pi is 0')
        >>> report.clean
        False
    """

    def __init__(self, write: Callable[[Finding], None], check: str) -> None:
        self._write, self._check = write, check
        self.clean = True
        """Whether the check has no warning or failure so far."""

    def ok(self, text: str) -> None:
        """Report a result without problems."""
        self._write(Finding(self._check, OK, text))

    def warning(self, text: str) -> None:
        """Report a problem that does not stop the run, but may be a mistake."""
        self.clean = False
        self._write(Finding(self._check, WARNING, text))

    def failed(self, text: str) -> None:
        """Report a problem that would ruin the run."""
        self.clean = False
        self._write(Finding(self._check, FAILED, text))

    def skipped(self, text: str) -> None:
        """Report the reason why nothing was checked."""
        self._write(Finding(self._check, SKIPPED, text))


class Diagnosis:
    """Runs checks, and keeps their findings.

    Args:
        out: output stream; a terminal also shows the current check.

    Example:
        >>> import sys
        >>> diagnosis = Diagnosis(sys.stdout)
        >>> diagnosis.run('student', lambda report: report.ok('3.2 M parameters'))
        ok       student            3.2 M parameters
        >>> diagnosis.verdict()
        '1 ok: ready to train'
    """

    def __init__(self, out: TextIO) -> None:
        self.findings: list[Finding] = []
        self._out = out
        self._live = out.isatty()

    @property
    def failed(self) -> bool:
        """Whether a finding would ruin the run."""
        return any(finding.status == FAILED for finding in self.findings)

    def run(self, check: str, function: Callable, *args: Any, needs: Sequence[Any] = ()) -> Any:
        """Call ``function(report, *args)``; an exception becomes a failure with a readable message.

        Args:
            check: name of the check.
            function: check that reports its findings.
            args: arguments of the function.
            needs: results of other checks that this one depends on.

        Returns:
            the result of the function; :class:`Missing` if it raised, or if an argument or a need is missing.
        """
        report = Reporter(self._write, check)
        missing = next((value.check for value in (*args, *needs) if isinstance(value, Missing)), None)
        if missing is not None:
            report.skipped(f'needs "{missing}", see above')
            return Missing(missing)
        if self._live:
            self._out.write(f'\r\x1b[K{"...":<8} {check}')
            self._out.flush()
        try:
            return function(report, *args)
        except Exception as error:
            report.failed(sentence(error))
            return Missing(check)

    def write(self, text: str) -> None:
        """Print a paragraph."""
        self._out.write(f'{text}\n')
        self._out.flush()

    def verdict(self) -> str:
        """The number of findings of each status, and the conclusion."""
        counts = {
            status: sum(finding.status == status for finding in self.findings)
            for status in (FAILED, WARNING, OK, SKIPPED)
        }
        numbers = ', '.join(f'{count} {status}' for status, count in counts.items() if count)
        return numbers + (': the run would fail; fix the failures from the top' if self.failed else ': ready to train')

    def _write(self, finding: Finding) -> None:
        self.findings.append(finding)
        start = '\r\x1b[K' if self._live else ''
        self.write(f'{start}{finding.status:<8} {finding.check:<18} {finding.text}')
