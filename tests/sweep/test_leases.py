import multiprocessing
import os
import subprocess
import sys

import pytest

from mmseg_kd.sweep.leases import LeaseLost, Leases
from mmseg_kd.sweep.storage import open_storage

pytest.importorskip('optuna')
both_storages = pytest.mark.parametrize('leases', ['journal', 'database'], indirect=True)
FORK = multiprocessing.get_context('fork')


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def leases(tmp_path, request):
    """Makes the leases as a worker on a given machine sees them; each machine has its own lock files."""

    def make(machine='here', clock=None):
        storage = open_storage(
            tmp_path, f'sqlite:///{tmp_path}/other.db' if getattr(request, 'param', None) == 'database' else None
        )
        made = Leases(storage, 'leases', tmp_path / machine, patience=60, clock=clock or Clock())
        made.machine = machine
        return made

    return make


@pytest.fixture
def on(monkeypatch):
    """Acquires a lease on the machine of the worker."""

    def take(worker, work='run'):
        monkeypatch.setattr('socket.gethostname', lambda: worker.machine)
        worker.refresh()
        return worker.acquire(work)

    return take


def test_a_leased_work_item_is_leased_by_nobody_else_until_it_is_released(leases, on):
    one, two, far = leases(), leases(), leases('far')
    lease = on(one)
    assert on(two) is None and on(far) is None and on(one) is None
    assert on(two, 'another run') is not None
    assert one.refresh() == {'run': 'here', 'another run': 'here'}
    lease.release()
    assert on(far) is not None


def test_a_lease_made_since_the_refresh_is_respected(leases, on):
    one, two = leases(), leases('far')
    two.refresh()
    lease = on(one)
    assert two.acquire('run') is None
    lease.renew()


@both_storages
def test_on_another_machine_only_missing_heartbeats_count(leases, on):
    clock = Clock()
    here, far = leases(), leases('far', clock)
    lease = on(here)
    assert on(far) is None
    clock.now = 59
    assert on(far) is None
    lease.renew()
    for clock.now in (61, 120):  # 0 and 59 seconds after the heartbeat was first seen
        assert on(far) is None
    clock.now = 122
    taken = on(far)
    assert taken is not None
    with pytest.raises(LeaseLost, match='run was taken over by another worker'):
        lease.renew()
    lease.release()  # does not release the other worker's lease
    taken.renew()
    assert on(here) is None


def _take_and_die(make):
    make().acquire('run')
    os._exit(9)


def test_on_the_same_machine_the_lease_of_a_dead_worker_is_free_at_once(leases, on, monkeypatch):
    monkeypatch.setattr('socket.gethostname', lambda: 'here')
    worker = FORK.Process(target=_take_and_die, args=(leases,))
    worker.start()
    worker.join()
    assert leases().refresh() == {'run': 'here'}
    assert on(leases('far')) is None
    assert on(leases()) is not None


def test_a_lease_is_not_free_while_a_process_that_inherited_it_lives(leases, on):
    here = leases()
    lease = on(here)
    child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE, pass_fds=lease.descriptors)
    for file in lease.descriptors:
        os.close(file)  # as when the worker dies
    other = leases()
    assert on(other) is None
    child.communicate(b'\n')
    assert on(other) is not None


def _work(make, barrier, log):
    mine = make()
    barrier.wait()
    mine.refresh()
    for work in range(30):
        if mine.acquire(f'run {work}'):
            with log.open('a') as file:
                file.write(f'{work}\n')
    barrier.wait()  # the leases of a worker are free when it ends


@both_storages
def test_racing_workers_share_the_work(leases, tmp_path):
    barrier, log = FORK.Barrier(3), tmp_path / 'log'
    workers = [FORK.Process(target=_work, args=(leases, barrier, log)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(map(int, log.read_text().split())) == list(range(30))
