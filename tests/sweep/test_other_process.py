"""Functions in another process: results, lines, failures, and leases that are renewed or lost meanwhile."""

import os
import pickle
import sys
import time

import pytest
from fork_server import forked_python

from mmseg_kd.sweep.leases import LeaseLost
from mmseg_kd.sweep.other_process import OtherProcessError, answer, call_in_other_process


def count(numbers, say):
    for number in numbers:
        say(f'at {number}')
    return dict(total=sum(numbers), process=os.getpid())


def sleep(seconds, say):
    time.sleep(seconds)


def fail(message, say):
    say('before the end')
    raise ValueError(message)


@pytest.fixture(autouse=True)
def quick_python(monkeypatch):
    monkeypatch.setattr(sys, 'executable', forked_python())


class Held:
    """A lease that counts its renewals, and is lost after some of them."""

    descriptors = ()

    def __init__(self, lost_after=None):
        self.renewals, self._lost_after = 0, lost_after

    def renew(self):
        if self.renewals == self._lost_after:
            raise LeaseLost('another worker has it')
        self.renewals += 1


def test_result_and_lines_come_from_another_process(tmp_path):
    said = []
    result = call_in_other_process(count, [1, 2, 4], tmp_path / 'log', said.append)
    assert result['total'] == 7 and result['process'] != os.getpid()
    assert said == ['at 1', 'at 2', 'at 4']


def test_a_failure_is_told_with_its_exit_code_and_its_error_after_the_lines(tmp_path):
    said = []
    with pytest.raises(OtherProcessError, match='^exit code 1: ValueError: no room$'):
        call_in_other_process(fail, 'no room', tmp_path / 'log', said.append)
    assert said == ['before the end']


def test_a_lease_is_renewed_at_every_heartbeat(tmp_path):
    lease = Held()
    assert call_in_other_process(sleep, 0.5, tmp_path / 'log', print, lease, heartbeat=0.05) is None
    assert lease.renewals >= 2


def test_a_lost_lease_stops_the_other_process(tmp_path):
    begin = time.monotonic()
    with pytest.raises(LeaseLost):
        call_in_other_process(sleep, 300, tmp_path / 'log', print, Held(lost_after=1), heartbeat=0.05)
    assert time.monotonic() - begin < 100


def test_an_answer_is_json_and_each_line_ends(tmp_path):
    asked, told, answered = (tmp_path / name for name in ('asked', 'told', 'answered'))
    asked.write_bytes(pickle.dumps((count, [3])))
    answer(str(asked), str(told), str(answered))
    assert told.read_text() == 'at 3\n'
    assert answered.read_text() == f'{{"total": 3, "process": {os.getpid()}}}'
