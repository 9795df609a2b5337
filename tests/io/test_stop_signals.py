import logging
import os
import signal
import subprocess
import threading

import pytest
import torch
import torch.distributed as dist

from mmseg_kd.io.stop_signals import STATUS, PatientWorker, Stopped, defer, leave, requested, stop, stop_signals


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


def test_a_signal_ends_the_block_at_once_with_one_line_and_status_0(capfd):
    with pytest.raises(Stopped) as stopped, stop_signals('the same command continues'):
        send()
    assert stopped.value.code == 0
    assert capfd.readouterr().err == '\nstopped by SIGTERM: the same command continues\n'
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and requested() is None


def test_a_worker_of_a_sweep_gets_the_status_that_it_asks_for(monkeypatch):
    monkeypatch.setenv(STATUS, '143')
    assert Stopped().code == 143


def test_signals_wait_for_the_end_of_a_step():
    with stop_signals('never'):
        defer()
        send(signal.SIGUSR1)
        send(signal.SIGTERM)
        assert requested() == 'SIGUSR1'
        with pytest.raises(Stopped):
            stop('now')


def test_a_signal_that_an_inner_block_left_waiting_ends_the_outer_one(capfd):
    with pytest.raises(Stopped), stop_signals('outer'):
        with stop_signals('inner'):
            defer()
            send()
        raise AssertionError('the outer block went on')
    assert 'stopped by SIGTERM: inner' in capfd.readouterr().err


def test_an_outermost_block_that_has_finished_its_work_ends_normally():
    with stop_signals('never'):
        defer()
        send()
    assert requested() is None


def test_handlers_of_others_and_other_threads_keep_their_signals(monkeypatch):
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with stop_signals('never'):
            send()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]

    def work():
        with stop_signals('never'):
            received.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert received[1] is signal.SIG_DFL


def test_a_process_of_a_data_loader_ends_with_its_parent_only():
    class Slow(torch.utils.data.Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            for number in (signal.SIGTERM, signal.SIGUSR1):
                subprocess.run(['kill', f'-{int(number)}', str(os.getpid())])
            return index

    loader = torch.utils.data.DataLoader(
        Slow(), num_workers=1, worker_init_fn=PatientWorker(None), persistent_workers=True
    )
    iterator = iter(loader)
    assert next(iterator).tolist() == [0]
    (worker,) = iterator._workers
    assert worker.is_alive()
    worker.terminate()
    worker.join(60)
    assert worker.exitcode == 0


def test_other_processes_that_inherited_the_handler_are_killed_as_before():
    with stop_signals('never'):
        child = os.fork()
        if child == 0:
            send()
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_only_processes_that_use_gloo_leave_without_cleanup(monkeypatch):
    left = []
    monkeypatch.setattr(os, '_exit', left.append)
    # The real one would close the log files that later tests of this process write.
    monkeypatch.setattr(logging, 'shutdown', lambda: left.append('logs are written'))
    leave(3)
    monkeypatch.setattr(dist, 'is_initialized', lambda: True)
    for backend in ('nccl', 'gloo'):
        monkeypatch.setattr(dist, 'get_backend', lambda: backend)
        leave(4)
    assert left == ['logs are written', 4]
