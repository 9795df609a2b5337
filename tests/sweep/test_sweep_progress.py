import io

from mmseg_kd.sweep.progress import SweepProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_the_current_run_the_finished_runs_and_the_time_left(monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '200')
    out = Terminal()
    progress = SweepProgress(12, out)
    progress.count(3, 12, 600.0)
    progress.refresh('final/pi/0_seed1', 40, 80, ', mIoU 12.34', [('final/pi/0_seed2', 'node7')])
    shown = out.getvalue()
    assert '3/12, 10 min left' in shown and 'final/pi/0_seed1' in shown and '40/80, mIoU 12.34' in shown
    assert 'other workers: final/pi/0_seed2 on node7' in shown
    progress.event('final/pi/0_seed1 complete')
    progress.close()
    assert '[3/12] final/pi/0_seed1 complete' in out.getvalue()


def test_without_a_terminal_only_events_are_written():
    out = io.StringIO()
    progress = SweepProgress(12, out)
    progress.event('one')
    progress.count(1, 12, None)
    progress.refresh('run', 1, 2, '', [])
    progress.event('[bold]two[/bold] :smile:')
    progress.count(2, 12, 5.0)
    progress.event('three')
    progress.close()
    assert out.getvalue().splitlines() == ['[0/12] one', '[1/12] [bold]two[/bold] :smile:', '[2/12] three, 5 s left']
