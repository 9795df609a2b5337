"""A Python whose imports are paid once: each start is a fork of a server that has imported everything.

`forked_python()` starts the server and returns the path of a program named `python`. It takes a script, `-c` or `-m`, as
Python does, and the process that it stands for has its own arguments, folder, environment, standard streams and exit
code. Signals reach that process, and it does not outlive the program. What must be proven of a fresh interpreter (entry
points, the order of imports) is tested with `sys.executable`.
"""

import array
import atexit
import contextlib
import functools
import json
import os
import shlex
import signal
import socket
import sys

KINDS = ('-c', '-m')
OPTIONS = (*KINDS, '-W', '-u')


FOLDER = 'MMSEG_KD_FORK_SERVER'  # the environment variable that tells child processes where the server is
KEPT: list[object] = []  # what ends with this process


def share() -> str:
    """Folder of a server for this process and its children, such as the workers of pytest-xdist; it ends with this one."""
    import tempfile

    if FOLDER not in os.environ:
        os.environ[FOLDER] = folder = tempfile.mkdtemp(prefix='fork')
        os.mkfifo(os.path.join(folder, 'alive'))
        KEPT.append(os.open(os.path.join(folder, 'alive'), os.O_RDWR))
        atexit.register(_remove, folder, os.getpid())
    return os.environ[FOLDER]


@functools.cache
def forked_python() -> str:
    """Path of the program; its folder comes first on the `PATH` of whatever shall find it as `python`."""
    import fcntl

    folder = share()
    program = os.path.join(folder, 'python')
    with open(os.path.join(folder, 'lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(program):
            _start(folder, program)
    return program


def _start(folder, program):
    import subprocess

    address = os.path.join(folder, 'socket')
    client = [sys.executable, '-I', '-S', os.path.abspath(__file__), 'client', address]
    with (
        socket.socket(socket.AF_UNIX) as listener,
        open(address + '.log', 'w') as log,
        open(os.path.join(folder, 'alive'), 'rb', opener=lambda path, _: os.open(path, os.O_RDONLY)) as alive,
    ):
        # Who connects before the server has imported everything waits.
        listener.bind(address)
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), 'serve', program, str(listener.fileno())],
            stdin=alive,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': ''},
        )
    KEPT.append(server)
    with open(program, 'w') as file:
        file.write(f'#!/bin/sh\nexec {shlex.join(client)} "$@"\n')
    os.chmod(program, 0o755)


def forked_environment(**changes: str) -> dict[str, str]:
    """Environment in which `python` is the program of :func:`forked_python`."""
    folder, own = os.path.dirname(forked_python()), os.path.dirname(sys.executable)
    path = os.pathsep.join([folder, own, os.environ['PATH']])
    return {**os.environ, 'PATH': path, 'PYTHONWARNINGS': 'ignore', **changes}


def run_ranks(function, arguments, nprocs):
    """Call `function(rank, *arguments)` in processes of their own, as `torch.multiprocessing.spawn` does."""
    import pickle
    import subprocess

    path = [os.path.dirname(sys.modules[function.__module__].__file__), *sys.path]
    code = 'import pickle, sys; sys.path[:] = {path}; call, given = pickle.loads({call}); call({rank}, *given)'
    call = pickle.dumps((function, arguments))
    ranks = [
        subprocess.Popen([forked_python(), '-c', code.format(path=path, call=call, rank=rank)], stderr=subprocess.PIPE)
        for rank in range(nprocs)
    ]
    try:
        errors = [rank.communicate(timeout=600)[1].decode(errors='replace') for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    failed = [text for rank, text in zip(ranks, errors) if rank.returncode]
    assert not failed, '\n\n'.join(failed)


def _remove(folder, owner):
    import shutil

    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


# The program, which runs in a bare interpreter


def client(address, *arguments):
    """Have the server fork, pass signals on, and end as the fork ends. A bare interpreter (`-I -S`) is no fork."""
    if not arguments or arguments[0].startswith('-') and arguments[0] not in OPTIONS:
        os.execv(sys.executable, [sys.executable, *arguments])
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except ConnectionRefusedError:
        ended(address)
    request = json.dumps(dict(arguments=arguments, folder=os.getcwd(), environment=dict(os.environ))).encode()
    streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0, 1, 2]))]
    connection.sendmsg([len(request).to_bytes(8, 'big')], streams)
    connection.sendall(request)
    answers = connection.makefile('r')
    pid = answers.readline()
    if not pid:
        ended(address)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, lambda number, _: os.kill(int(pid), number))
    status = answers.readline()
    code = int(status) if status else -signal.SIGKILL
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def ended(address):
    with open(address + '.log') as log:
        raise SystemExit(f'the fork server has ended: {log.read()[-3000:]}')


# The server


def serve(program, listener):
    """Import everything, then fork for every connection until standard input ends."""
    import gc
    import selectors

    import_everything()
    gc.collect()
    gc.freeze()
    listener = socket.socket(fileno=int(listener))
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(listener, selectors.EVENT_READ)
    forks = {}  # process id and descriptor by connection

    def end(connection):
        pid, descriptor = forks.pop(connection)
        for key in (connection, descriptor):
            selector.unregister(key)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):
            connection.sendall(f'{code}\n'.encode())
        connection.close()
        os.close(descriptor)

    while True:
        events = [key for key, _ in selector.select()]
        # What was killed is dead before something else starts.
        for key in sorted(events, key=lambda key: key.fileobj is listener):
            if key.fileobj == 0:
                for pid, _ in forks.values():
                    kill_group(pid)
                return
            if key.fileobj is listener:
                connection, _ = listener.accept()
                pid = fork(program, connection, [listener, *forks])
                if pid is None:
                    continue
                forks[connection] = pid, os.pidfd_open(pid)
                selector.register(connection, selectors.EVENT_READ)
                selector.register(forks[connection][1], selectors.EVENT_READ, connection)
            elif key.data is not None and key.data in forks:  # a fork has ended
                end(key.data)
            elif key.fileobj in forks:  # its client has ended
                kill_group(forks[key.fileobj][0])
                end(key.fileobj)


def kill_group(pid):
    for kill in (os.killpg, os.kill):  # a fork without a group yet
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def import_everything():
    """All modules of the package, and what tools and tests import besides. No fork waits for the disk."""
    import pkgutil
    from importlib import import_module

    import mmseg_kd

    names = [info.name for info in pkgutil.walk_packages(mmseg_kd.__path__, 'mmseg_kd.', onerror=lambda _: None)]
    others = ['mmseg.apis', 'mmpretrain.models', 'pytest', 'sklearn.datasets', 'torch.distributed.run', 'torch.onnx']
    for name in [*names, *others]:
        with contextlib.suppress(Exception):
            import_module(name)
    os.fsync = lambda descriptor: None


def receive(connection):
    """Standard streams and request of a client. The request is None if the client was killed before it was sent."""
    streams = array.array('i')
    try:
        size, ancillary, *_ = connection.recvmsg(8, socket.CMSG_SPACE(3 * 4))
        for *_, descriptors in ancillary:
            streams.frombytes(descriptors)
        return streams, json.loads(connection.makefile('rb').read(int.from_bytes(size, 'big')))
    except (OSError, ValueError):
        return streams, None


def fork(program, connection, others):
    """The process id of a fork, which never returns from here; None if the client has gone."""
    streams, request = receive(connection)
    pid = os.fork() if request else None
    if pid != 0:
        for stream in streams:
            os.close(stream)
        if pid is None:
            connection.close()
        else:
            with contextlib.suppress(OSError):  # the selector sees that the client has gone, and the fork is killed
                connection.sendall(f'{pid}\n'.encode())
        return pid
    try:
        os.setsid()
        for other in [connection, *others]:
            other.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        code = become(program, **request)
    except BaseException:
        code = report()
    leave(code)


def become(program, arguments, folder, environment):
    """Run what the command line of a Python names; its exit code."""
    import random
    import warnings

    import numpy
    import torch

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    numpy.random.seed()
    torch.seed()
    sys.executable = program
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a server in the background of a shell ignores it
    filters = [text for text in environment.get('PYTHONWARNINGS', '').split(',') if text]
    while arguments and arguments[0].startswith('-') and arguments[0] not in KINDS:
        option = arguments.pop(0)
        if option == '-W':
            filters.append(arguments.pop(0))
    for text in filters:
        warnings.simplefilter(text, append=True)  # type: ignore[arg-type]
    kind = arguments.pop(0) if arguments[0] in KINDS else 'script'
    what, *given = arguments
    # What came from this module and the environment of the server gives way to what Python would put there.
    paths = [path for path in environment.get('PYTHONPATH', '').split(os.pathsep) if path]
    sys.path[:1] = [dict(script=os.path.dirname(os.path.realpath(what))).get(kind, ''), *paths]
    sys.argv = ['-c' if kind == '-c' else what, *given]
    return run(kind, what)


def run(kind, what):
    import runpy
    import types

    try:
        if kind == 'script':
            runpy.run_path(what, run_name='__main__')
        elif kind == '-m':
            runpy.run_module(what, run_name='__main__', alter_sys=True)
        else:
            main = sys.modules['__main__'] = types.ModuleType('__main__')
            exec(compile(what, '<string>', 'exec'), vars(main))
    except BaseException:
        return report()
    return 0


def report():
    """Print the error that is being handled, as Python does; the exit code for it."""
    import traceback

    error = sys.exc_info()[1]
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    traceback.print_exc()
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGINT)
    return 1


def leave(code):
    import threading

    for step in (threading._shutdown, atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):
        with contextlib.suppress(Exception):
            step()
    os._exit(code & 0xFF)


if __name__ == '__main__':
    dict(client=client, serve=serve)[sys.argv[1]](*sys.argv[2:])
