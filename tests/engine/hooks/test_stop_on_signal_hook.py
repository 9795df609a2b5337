import os
import signal
import socket

import pytest
import torch
import torch.distributed as dist
from fork_server import run_ranks
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope

from mmseg_kd.io.checkpoint import read_checkpoint
from mmseg_kd.io.stop_signals import Stopped, requested
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


class Send(Hook):
    """Send a signal to this process within a step."""

    def __init__(self, at):
        self.at, self.steps = at, []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.steps.append(runner.iter)
        if runner.iter == self.at:
            os.kill(os.getpid(), signal.SIGUSR1)


def test_a_signal_ends_the_training_after_the_step_with_a_checkpoint(tmp_path, capfd):
    send = Send(at=1)
    runner = toy_runner(toy_segmentor(4, auxiliary=False), tmp_path, max_iters=4, custom_hooks=[send])
    with pytest.raises(Stopped) as stopped:
        runner.train()
    assert stopped.value.code == 0 and send.steps == [0, 1]
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL and requested() is None
    path = tmp_path / 'iter_2.pth'
    assert (
        f'stopped by SIGUSR1: {path} is saved, and the same command with --resume continues' in capfd.readouterr().err
    )
    assert read_checkpoint(str(path))['meta']['iter'] == 2
    rest = Send(at=None)
    toy_runner(toy_segmentor(4, auxiliary=False), tmp_path, max_iters=4, custom_hooks=[rest], resume=True).train()
    assert rest.steps == [2, 3]


def work(rank, port, work_dir):
    """One of two processes, of which only the second gets the signal."""
    init_default_scope('mmseg')
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    note = Send(at=1 if rank else None)
    runner = toy_runner(toy_segmentor(4, auxiliary=False), work_dir, max_iters=4, custom_hooks=[note])
    atexit = os._exit

    def leave(status):
        with open(f'{work_dir}/rank_{rank}.txt', 'w') as file:
            file.write(f'{status} {note.steps}')
        atexit(status)

    os._exit = leave  # processes that use gloo end in this way
    runner.train()


def test_all_processes_stop_after_the_same_step_if_one_gets_the_signal(tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    run_ranks(work, (port, str(tmp_path)), nprocs=2)
    assert [(tmp_path / f'rank_{rank}.txt').read_text() for rank in range(2)] == ['0 [0, 1]'] * 2
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']
