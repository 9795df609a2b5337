"""Checks run one after the other, and an error in one does not stop the others."""

import io

from mmseg_kd.doctor.diagnosis import Diagnosis, Missing


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_after_an_error_only_dependent_checks_are_skipped():
    out = io.StringIO()
    diagnosis = Diagnosis(out)
    first = diagnosis.run('first', lambda report: [][1])
    second = diagnosis.run('second', lambda report, value: report.ok('never'), first)
    third = diagnosis.run('third', lambda report: report.ok('well') or 3, needs=[4])
    assert isinstance(first, Missing) and second == Missing('first') and third == 3 and diagnosis.failed
    assert out.getvalue().splitlines()[1:] == [
        'skipped  second             needs "first", see above',
        'ok       third              well',
    ]
    assert out.getvalue().startswith('failed   first              IndexError: list index out of range (tests/doctor/')
    assert diagnosis.verdict() == '1 failed, 1 ok, 1 skipped: the run would fail; fix the failures from the top'


def test_a_terminal_shows_the_current_check():
    out = Terminal()
    Diagnosis(out).run('first', lambda report: report.warning('odd'))
    assert out.getvalue() == '\r\x1b[K...      first\r\x1b[Kwarning  first              odd\n'
