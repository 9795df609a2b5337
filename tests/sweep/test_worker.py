import io
import json
import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from studies import LR, board_of, final, optuna, record, sweep_of, tuning

from mmseg_kd.sweep import worker as module
from mmseg_kd.sweep.plan import Candidate
from mmseg_kd.sweep.progress import SweepProgress
from mmseg_kd.sweep.worker import Run, Worker, prepare_folder


class Leases:
    """Leases of one worker, some of them held by another machine."""

    def __init__(self, *taken):
        self.taken = taken

    def refresh(self):
        return dict.fromkeys(self.taken, 'node7')

    def acquire(self, work):
        lease = SimpleNamespace(renew=lambda: None, release=lambda: None, descriptors=())
        return None if work in self.taken else lease


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A worker whose trainings end at once with an exit code and validations for each call, in order."""
    monkeypatch.setattr(Candidate, 'read', lambda self: None)
    monkeypatch.setattr(module, 'stretch', lambda config, iterations: {'train_cfg.max_iters': iterations})
    monkeypatch.setattr(module, 'reached', lambda folder: 0)

    def build(board, results, leases=None):
        commands, ends, values = [], iter(results), {}

        def start(command, log):
            commands.append(command)
            code, logged = next(ends)
            values.clear()
            values.update(logged)
            return nullcontext(SimpleNamespace(wait=lambda seconds: code, error_summary=lambda: 'ValueError: no data'))

        monkeypatch.setattr(module, 'TrainingProcess', lambda command, log, descriptors: start(command, log))
        monkeypatch.setattr(module, 'validations', lambda folder, metric: dict(values))
        out = io.StringIO()
        worker = Worker(board, ['train'], leases or Leases(), SweepProgress(0, out), heartbeat=60, poll=0)
        worker.commands, worker.out = commands, out
        return worker

    return build


@pytest.fixture
def board(tmp_path):
    return board_of(sweep_of(tuning(seeds=(0,)), final(seeds=(5,)), work_dir=str(tmp_path)))


def test_all_runs_are_trained_with_their_options_and_recorded(make, board, tmp_path):
    worker = make(board, [(0, {100: 50.0}), (0, {50: 99.0, 100: 70.0}), (0, {100: 60.0}), (0, {100: 65.0})])
    worker.work()
    assert board.finished and board.studies[0].best.params == {LR: 0.2} and board.studies[1].best.value == 65
    last = worker.commands[-1]
    assert last[:4] == ['train', 'pi.py', '--work-dir', str(tmp_path / 'final/pi/0_seed5')] and '--resume' not in last
    assert {f'{LR}=0.2', 'randomness.seed=5', 'train_cfg.max_iters=100'} <= set(last)
    found = json.loads((tmp_path / 'final/pi/0_seed5/run.json').read_text())
    assert (found['state'], found['miou'], found['params']) == ('complete', 65.0, {LR: 0.2})
    assert worker.out.getvalue().splitlines()[-1].endswith('final/pi/0_seed5 complete after 0 s: mIoU 65.00, 0 s left')


@pytest.mark.parametrize(
    'result, error',
    [
        ((1, {}), 'ValueError: no data'),
        ((0, {100: math.nan}), 'validation must log mIoU, but logged nan'),
        ((0, {}), 'validation must log mIoU, but logged None'),
    ],
)
def test_a_failed_run_is_recorded_with_its_reason(make, board, result, error):
    make(board, [result] * 3).work()
    assert board.finished and board.studies[0].best is None and error in board.table()


def test_a_killed_run_starts_again_and_fails_after_repeated_kills(make, board):
    make(board, [(-9, {}), (0, {100: 50.0}), *[(-9, {})] * 6, (0, {100: 40.0}), (0, {100: 45.0})]).work()
    tune = board.studies[0]
    assert [tune.trials[index].state.name for index in range(3)] == ['COMPLETE', 'FAIL', 'COMPLETE']
    assert 'tune/pi/1_seed0: killed 6 times without a new checkpoint (exit code -9)' in board.table()


def test_runs_of_other_workers_are_left_to_them(make, board):
    worker = make(board, [(0, {100: 1.0})] * 2, Leases('study/tune/pi/1_seed0'))
    worker._refresh()
    (first, _) = worker._lease_run()
    assert (first.name, first.work) == ('tune/pi/0_seed0', 'study/tune/pi/0_seed0')
    assert worker._other_runs() == [('tune/pi/1_seed0', 'node7')]
    for index in (0, 2):
        record(board.studies[0], index, [1.0])
    assert worker._lease_run() is None


def test_a_database_that_does_not_answer_is_tried_again(make, board, monkeypatch):
    worker, waited, failures = make(board, []), [], [optuna.exceptions.StorageInternalError('gone'), None]
    monkeypatch.setattr(module.time, 'sleep', waited.append)

    def act():
        if failures[0] is not None:
            raise failures.pop(0)
        return 'done'

    assert worker._with_retries(act) == 'done' and waited == [1]
    assert 'the database does not answer, next attempt in 1 s: gone' in worker.out.getvalue()


def test_the_name_of_a_run_is_its_folder():
    run = Run(SimpleNamespace(key='tune/pi', name='study/tune/pi'), 3, 1)
    assert (run.name, run.work) == ('tune/pi/3_seed1', 'study/tune/pi/3_seed1')


def test_a_folder_of_the_same_run_is_kept_and_another_is_emptied(tmp_path):
    same = dict(params={LR: 0.1}, iterations=9, state='running', error=None, miou=None)
    assert prepare_folder(tmp_path / 'run', same, 'mIoU') is None
    (tmp_path / 'run' / 'left').touch()
    assert prepare_folder(tmp_path / 'run', dict(same, params={}), 'mIoU') is None
    assert [path.name for path in (tmp_path / 'run').iterdir()] == ['run.json']
