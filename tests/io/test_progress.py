import io

import pytest

from mmseg_kd.io.progress import ProgressLine, duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_the_result_alone():
    out = io.StringIO()
    line = ProgressLine('scenes', 4, out)
    line.update(2)
    line.close('4 written')
    assert out.getvalue() == f'{"scenes":<25} 4 written\n'


@pytest.mark.parametrize('total, bar', [(None, '[============            ] 2/4, 2 s'), (8, '[======  ')])
def test_a_terminal_shows_bar_and_remaining_time(monkeypatch, total, bar):
    times = iter([0.0, 2.0])
    monkeypatch.setattr('mmseg_kd.io.progress.time.monotonic', lambda: next(times))
    out = Terminal()
    ProgressLine('scenes', 4, out).update(2, total, ', loss 1.0')
    assert bar in out.getvalue() and out.getvalue().startswith('\r') and out.getvalue().endswith(' left, loss 1.0')


def test_a_terminal_is_not_written_to_more_often_than_ten_times_a_second(monkeypatch):
    times = iter([0.0, 0.05])
    monkeypatch.setattr('mmseg_kd.io.progress.time.monotonic', lambda: next(times))
    out = Terminal()
    ProgressLine('scenes', 4, out).update(2)
    assert out.getvalue() == ''


@pytest.mark.parametrize(
    'seconds, text',
    [
        (0, '0 s'),
        (0.44, '0.4 s'),
        (89.4, '89 s'),
        (100, '2 min'),
        (5399, '90 min'),
        (5400, '1.5 h'),
        (172799, '48.0 h'),
        (172800, '2.0 days'),
    ],
)
def test_a_duration_has_a_suitable_unit(seconds, text):
    assert duration(seconds) == text
