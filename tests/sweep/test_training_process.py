import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from fork_server import forked_python

from mmseg_kd.sweep.training_process import (
    TrainingProcess,
    killed_from_outside,
    prepare_resume,
    python_command,
    reached,
    validations,
)


def python(code, log, **arguments):
    return TrainingProcess([sys.executable, '-I', '-S', '-u', '-c', code], log, **arguments)


def alive(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def until(condition, seconds=300):  # until a test fails; a busy machine may need most of them
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    'code, words',
    [
        ('raise FloatingPointError("loss is nan")', 'FloatingPointError: loss is nan'),
        ('import json.nonsense', "ModuleNotFoundError: No module named 'json.nonsense'"),
        ('print("ValueError: no\\nlook\\nhere"); raise SystemExit("no such config: a.py")', 'ValueError: no look here'),
        ('print("hm"); raise SystemExit("no such config: a.py")', 'no such config: a.py'),
        ('print("error: weight must be >= 0"); raise SystemExit(2)', 'weight must be >= 0'),
        ('raise SystemExit(3)', 'no output'),
    ],
)
def test_the_error_summary_is_the_end_of_the_output(code, words, tmp_path):
    log = tmp_path / 'log'
    log.write_text('KeyError: of an earlier attempt\n')
    with python(code, log) as process:
        assert process.wait(300) not in (0, None)
    assert process.error_summary() == words


def test_leaving_the_block_stops_the_process_and_its_children(tmp_path):
    pids = tmp_path / 'pids'
    code = (
        'import os, subprocess, sys, time; child = subprocess.Popen(["sleep", "600"]); '
        f'open({str(pids)!r} + "_", "w").write(f"{{os.getpid()}} {{child.pid}}"); os.rename({str(pids)!r} + "_", '
        f'{str(pids)!r}); time.sleep(600)'
    )
    with python(code, tmp_path / 'log') as process:
        assert process.wait(0) is None
        until(pids.exists)
    assert killed_from_outside(process.wait(0))
    until(lambda: not any(map(alive, pids.read_text().split())))


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux ties a process to its parent')
def test_the_process_does_not_outlive_a_parent_that_is_killed(tmp_path):
    pid = tmp_path / 'pid'
    child = f'import os, time; open({str(pid)!r}, "w").write(f"{{os.getpid()}} {{os.getppid()}}"); time.sleep(600)'
    parent = (
        'import sys, time; from pathlib import Path; from mmseg_kd.sweep.training_process import TrainingProcess; '
        f'TrainingProcess([{sys.executable!r}, "-I", "-S", "-c", {child!r}], Path(sys.argv[1])); time.sleep(600)'
    )
    process = subprocess.Popen([forked_python(), '-c', parent, str(tmp_path / 'log')])
    until(lambda: pid.exists() and len(pid.read_text().split()) == 2)
    child, parent = map(int, pid.read_text().split())
    assert alive(child)
    os.kill(parent, signal.SIGKILL)
    process.wait()
    until(lambda: not alive(child))


@pytest.mark.parametrize(
    'code, expected',
    [(-signal.SIGKILL, True), (137, True), (143, True), (-signal.SIGSEGV, False), (1, False), (129, True), (2, False)],
)
def test_a_kill_is_distinguished_from_an_error(code, expected):
    assert killed_from_outside(code) is expected


def write_scalars(folder, *entries):
    folder = folder / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)))


def test_the_last_entries_of_a_resumed_run_count(tmp_path):
    write_scalars(tmp_path / '20260101_000000', dict(loss=2, step=10), dict(mIoU=1.5, step=10), dict(mIoU=2.5, step=20))
    write_scalars(tmp_path / '20260102_000000', dict(loss=2, step=15), dict(mIoU=3.5, step=20), dict(loss=1, step=25))
    with (tmp_path / '20260102_000000' / 'vis_data' / 'scalars.json').open('a') as file:
        file.write('\n{"mIoU": 9.')  # killed while it wrote
    assert validations(tmp_path, 'mIoU') == {10: 1.5, 20: 3.5}
    assert reached(tmp_path) == 25
    assert validations(tmp_path / 'nothing', 'mIoU') == {} and reached(tmp_path / 'nothing') == 0


def test_a_run_resumes_from_the_last_complete_checkpoint(tmp_path):
    for iteration in (8, 16, 24):
        with zipfile.ZipFile(tmp_path / f'iter_{iteration}.pth', 'w') as file:
            file.writestr('data', 'x' * 1000)
    half = tmp_path / 'iter_24.pth'
    half.write_bytes(half.read_bytes()[:600])
    (tmp_path / 'best_mIoU_iter_32.pth').write_text('not one to resume from')
    pointer = tmp_path / 'last_checkpoint'
    pointer.write_text('')  # killed between opening and writing it
    assert prepare_resume(tmp_path, 100) == tmp_path / 'iter_16.pth'
    assert pointer.read_text() == str(tmp_path / 'iter_16.pth')
    assert prepare_resume(tmp_path, 16) == tmp_path / 'iter_8.pth'
    assert prepare_resume(tmp_path, 8) is None and not pointer.exists()


def test_another_process_finds_the_modules_of_this_one_and_not_those_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'path', [path for path in sys.path if path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'json.py').write_text('raise RuntimeError("not the library")')
    monkeypatch.syspath_prepend(tmp_path / 'mine')
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'own_module.py').write_text('VALUE = 3')
    code = "import json, own_module\nopen(sys.argv[1], 'w').write(json.dumps(own_module.VALUE))"
    with TrainingProcess(python_command(code, tmp_path / 'answer'), tmp_path / 'log') as process:
        assert process.wait(60) == 0, process.error_summary()
    assert (tmp_path / 'answer').read_text() == '3'
