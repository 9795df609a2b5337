import importlib.util
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

ROOT = Path(__file__).resolve().parents[2]
# The second of two processes fails or dies, while the first waits for it.
PROGRAM = """
import os, signal, sys
import torch.distributed as dist
from mmseg_kd_startup import run_tool

def main():
    dist.init_process_group('gloo')
    if dist.get_rank() == 1:
        if sys.argv[1] == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)
        raise FileNotFoundError('no image 7')
    dist.barrier()

run_tool(main)
"""


@pytest.fixture(scope='module')
def torchrun():
    spec = importlib.util.spec_from_file_location('tools_torchrun', ROOT / 'tools' / 'torchrun.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failures(**codes):
    """A failed run in which the ranks ended in this order, with these exit statuses."""
    found = {
        int(name[1:]): ProcessFailure(local_rank=int(name[1:]), pid=1, exitcode=code, error_file='<N/A>')
        for name, code in codes.items()
    }
    for time, failure in enumerate(found.values()):
        failure.timestamp = time
    return ChildFailedError('train.py', found)


@pytest.mark.parametrize(
    'codes, rank, text',
    [
        (dict(r0=3, r1=2), 1, 'rank 1 failed with exit status 2; its error is above'),
        (dict(r0=-15, r3=3, r2=1), 2, 'rank 2 failed with exit status 1; its error is above'),
        (dict(r1=-9, r0=1), 1, 'rank 1 was killed by SIGKILL; if nobody did that, the machine had too little memory'),
        (dict(r1=-11, r0=3), 1, 'rank 1 was killed by SIGSEGV'),
        (dict(r1=-15, r0=-15), 1, 'rank 1 was killed by SIGTERM'),
    ],
)
def test_the_process_that_ended_the_others_is_named(torchrun, monkeypatch, capsys, codes, rank, text):
    def fail():
        raise failures(**codes)

    assert torchrun.first_failure(failures(**codes))[0] == rank
    monkeypatch.setattr(torchrun, 'torchrun', fail)
    monkeypatch.setattr(torchrun.logging, 'disable', lambda level: None)
    monkeypatch.setattr(sys, 'argv', ['torchrun.py'])
    with pytest.raises(SystemExit) as stopped:
        torchrun.main()
    assert stopped.value.code == max(codes[f'r{rank}'], 1)
    assert capsys.readouterr().err == f'error: {text}\n'
    monkeypatch.setattr(sys, 'argv', ['torchrun.py', '--debug'])
    with pytest.raises(ChildFailedError):
        torchrun.main()


def test_the_status_of_those_that_follow_is_that_of_the_package(torchrun):
    from mmseg_kd.io.rank_failures import LOST

    assert torchrun.LOST == LOST and torchrun.LOST not in (0, 1, 2, -signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.skipif(not dist.is_gloo_available(), reason='torch without gloo')
@pytest.mark.parametrize('how, status, last', [('raise', 2, 'failed with exit status 2'), ('kill', 1, 'was killed by')])
def test_two_processes_end_in_few_lines(tmp_path, how, status, last):
    (tmp_path / 'program.py').write_text(PROGRAM)
    command = [sys.executable, ROOT / 'tools/torchrun.py', '--standalone', '--nproc_per_node=2', 'program.py', how]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    lines = done.stderr.splitlines()
    assert done.returncode == status, done.stderr
    assert lines[-1].startswith(f'error: rank 1 {last}') and len(lines) <= 3, done.stderr
    assert how == 'kill' or lines[0] == 'error: rank 1: no image 7'
