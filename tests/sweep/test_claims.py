import multiprocessing
import os
import subprocess
import sys

import pytest

from mmseg_kd.sweep.claims import ClaimLost, Claims

pytest.importorskip('optuna')  # which brings SQLAlchemy
FORK = multiprocessing.get_context('fork')


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def claims(tmp_path):
    """Makes the table as a worker of a given machine sees it; the files that are locked are each machine's own."""

    def make(machine='here', clock=None):
        made = Claims(f'sqlite:///{tmp_path}/study.db', tmp_path / machine, patience=60, clock=clock or Clock())
        made.machine = machine
        return made

    return make


@pytest.fixture
def on(monkeypatch):
    """Claim from the machine that a worker is on."""

    def take(worker, work='run'):
        monkeypatch.setattr('socket.gethostname', lambda: worker.machine)
        worker.survey()
        return worker.take(work)

    return take


def test_what_is_claimed_is_claimed_by_nobody_else_until_it_is_given_back(claims, on):
    one, two, far = claims(), claims(), claims('far')
    claim = on(one)
    assert on(two) is None and on(far) is None and on(one) is None
    assert on(two, 'another run') is not None
    assert one.survey() == {'run': 'here', 'another run': 'here'}
    claim.release()
    assert on(far) is not None


def test_a_claim_made_since_the_survey_is_respected(claims, on):
    one, two = claims(), claims('far')
    two.survey()
    claim = on(one)
    assert two.take('run') is None
    claim.renew()


def test_on_another_machine_only_silence_counts(claims, on):
    clock = Clock()
    here, far = claims(), claims('far', clock)
    claim = on(here)
    assert on(far) is None
    clock.now = 59
    assert on(far) is None
    claim.renew()
    for clock.now in (61, 120):  # since the sign of life was first seen: 0 and 59 seconds
        assert on(far) is None
    clock.now = 122
    taken = on(far)
    assert taken is not None
    with pytest.raises(ClaimLost, match='run was taken over by another worker'):
        claim.renew()
    claim.release()  # gives back nothing that is another's
    taken.renew()
    assert on(here) is None


def _take_and_die(make):
    make().take('run')
    os._exit(9)


def test_on_the_same_machine_the_claim_of_a_dead_worker_is_free_at_once(claims, on, monkeypatch):
    monkeypatch.setattr('socket.gethostname', lambda: 'here')
    worker = FORK.Process(target=_take_and_die, args=(claims,))
    worker.start()
    worker.join()
    assert claims().survey() == {'run': 'here'}
    assert on(claims('far')) is None
    assert on(claims()) is not None


def test_a_claim_is_not_free_while_a_process_that_inherited_it_lives(claims, on):
    here = claims()
    claim = on(here)
    child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE, pass_fds=claim.file)
    for file in claim.file:
        os.close(file)  # as when the worker dies
    other = claims()
    assert on(other) is None
    child.communicate(b'\n')
    assert on(other) is not None


def _work(make, barrier, log):
    mine = make()
    barrier.wait()
    mine.survey()
    for work in range(30):
        if mine.take(f'run {work}'):
            with log.open('a') as file:
                file.write(f'{work}\n')
    barrier.wait()  # what a worker holds is free when it ends


def test_workers_that_race_share_the_work_out(claims, tmp_path):
    barrier, log = FORK.Barrier(3), tmp_path / 'log'
    workers = [FORK.Process(target=_work, args=(claims, barrier, log)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(map(int, log.read_text().split())) == list(range(30))
