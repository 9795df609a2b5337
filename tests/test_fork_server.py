"""A fork of the server is, to whoever starts it, a Python of its own."""

import array
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fork_server import forked_environment, forked_python, run_ranks

NOTE = 'import os, sys; open(sys.argv[1] + ".new", "w").write(str(os.getpid())); os.rename(sys.argv[1] + ".new", sys.argv[1]); '


def python(*arguments, **options):
    return subprocess.run([forked_python(), *map(str, arguments)], capture_output=True, text=True, **options)


def test_it_has_arguments_folder_environment_and_streams_of_its_own(tmp_path):
    (tmp_path / 'beside.py').write_text('name = __name__')
    (tmp_path / 'script.py').write_text(
        'import beside, os, sys\nprint(__name__, beside.name, sys.argv[1:], os.getcwd(), os.environ["A"], input())\n'
        'print(sys.executable, file=sys.stderr)\n'
    )
    done = python(tmp_path / 'script.py', 'x', '-c', cwd='/', env={'A': 'b'}, input='typed\n')
    assert done.stdout == "__main__ beside ['x', '-c'] / b typed\n" and done.returncode == 0
    assert done.stderr.strip() == forked_python()


@pytest.mark.parametrize(
    'code, status, end',
    [
        ('pass', 0, ''),
        ('raise SystemExit', 0, ''),
        ('raise SystemExit(3)', 3, ''),
        ('raise SystemExit("in words")', 1, 'in words'),
        ('1 / 0', 1, 'ZeroDivisionError: division by zero'),
        ('import os; os._exit(5)', 5, ''),
        ('import os, signal; os.kill(os.getpid(), signal.SIGKILL)', -signal.SIGKILL, ''),
    ],
)
def test_it_ends_as_a_python_does(code, status, end):
    done = python('-c', code)
    assert (done.returncode, done.stdout) == (status, '') and done.stderr.strip().endswith(end)


def test_two_forks_draw_other_numbers():
    code = 'import random, numpy, torch; print(random.random(), numpy.random.rand(), torch.rand(1).item())'
    first, second = (python('-c', code).stdout.split() for _ in range(2))
    assert len({*first, *second}) == 6


def test_a_module_runs_and_nested_pythons_are_forks():
    code = 'import subprocess, sys; subprocess.run(["python", "-m", "this"], stdout=sys.stdout)'
    assert 'Beautiful is better' in python('-c', code, env=forked_environment()).stdout


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_one_is_dead_before_the_next_one_starts(number, tmp_path):
    path = tmp_path / 'pid'
    process = subprocess.Popen(
        [forked_python(), '-c', NOTE + 'import time; print(flush=True); time.sleep(600)', path], stdout=subprocess.PIPE
    )
    process.stdout.readline()
    process.send_signal(number)
    assert process.wait(60) == -number
    alive = python('-c', 'import os, sys; print(os.path.exists(f"/proc/{sys.argv[1]}"))', path.read_text())
    assert alive.stdout == 'False\n'
    process.stdout.close()


@pytest.mark.parametrize('part', [0.0, 0.5, 1.0])
def test_a_client_that_is_killed_while_it_asks_does_not_end_the_server(part, tmp_path):
    started = tmp_path / 'started'
    arguments = ['-c', NOTE + 'import time; time.sleep(600)', str(started)]
    request = json.dumps(dict(arguments=arguments, folder='/', environment={})).encode()
    with socket.socket(socket.AF_UNIX) as connection, open(os.devnull, 'w') as null:
        connection.connect(str(Path(forked_python()).parent / 'socket'))
        if part:
            streams = array.array('i', [null.fileno()] * 3)
            connection.sendmsg(
                [len(request).to_bytes(8, 'big')], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams.tobytes())]
            )
            connection.sendall(request[: int(part * len(request))])
    assert python('-c', 'print("alive")').stdout == 'alive\n'
    assert not started.exists() or not os.path.exists(f'/proc/{started.read_text()}')


def note(rank, folder):
    Path(folder, str(rank)).write_text(str(os.getpid()))


def fail(rank):
    raise ValueError(f'rank {rank}')


def test_ranks_are_processes_whose_errors_are_told(tmp_path):
    run_ranks(note, (str(tmp_path),), nprocs=2)
    assert len({(tmp_path / str(rank)).read_text() for rank in range(2)} | {str(os.getpid())}) == 3
    with pytest.raises(AssertionError, match=r'(?s)ValueError: rank 0.*ValueError: rank 1'):
        run_ranks(fail, (), nprocs=2)


def test_a_bare_interpreter_is_a_real_one():
    done = python('-I', '-S', '-c', 'import sys; print(sys.executable, "torch" in sys.modules, *sys.argv[1:])', 'x')
    assert done.stdout.split() == [sys.executable, 'False', 'x']
