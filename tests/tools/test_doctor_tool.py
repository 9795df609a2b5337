"""The doctor's command line, and the checks before training, as a user runs them."""

import subprocess
from pathlib import Path

import pytest
from fork_server import forked_environment, forked_python

from mmseg_kd.datasets import write_digit_scenes

pytest.importorskip('sklearn')
ROOT = Path(__file__).resolve().parents[2]
SMALL = ['train_cfg.max_iters=1', 'train_cfg.val_interval=1', 'default_hooks.checkpoint.interval=1']


@pytest.fixture(scope='module')
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp('workspace')
    write_digit_scenes(folder / 'data' / 'digit_scenes', num_train=16, num_val=4)
    return folder


def run(tool, *arguments, cwd):
    done = subprocess.run(
        [forked_python(), ROOT / 'tools' / tool, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=forked_environment(),
    )
    return done.returncode, done.stdout, done.stderr


def test_failures_are_printed_on_standard_output_only(workspace):
    code, out, err = run('doctor.py', 'mmseg_kd::demo/distilled.py', '--images', '2', cwd=workspace)
    lines = out.splitlines()
    assert code == 1 and lines[0].startswith('ok       versions'), out + err
    assert (
        "failed   teacher's weights  model.teacher.checkpoint: no such checkpoint: "
        'work_dirs/demo/teacher/iter_800.pth' in lines
    )
    assert '| backbone[3] = backbone.layer4' in out
    assert lines[-1].endswith(': the run would fail; fix the failures from the top')
    assert [path.name for path in workspace.iterdir()] == ['data']


def test_training_with_check_starts_if_all_checks_pass(workspace):
    code, out, err = run('train.py', 'mmseg_kd::demo/student.py', '--check', '--cfg-options', *SMALL, cwd=workspace)
    assert code == 0, out + err
    assert out.index(': ready to train') < out.index('Iter(val) [1/1]')
    assert (workspace / 'work_dirs' / 'student' / 'iter_1.pth').exists()


def test_training_with_check_stops_before_a_run_that_would_fail(workspace):
    code, out, err = run(
        'train.py',
        'mmseg_kd::demo/student.py',
        '--check',
        '--work-dir',
        'ruined',
        '--cfg-options',
        'model.decode_head.num_classes=7',
        cwd=workspace,
    )
    assert code == 1 and 'model.decode_head.num_classes is 7; set num_classes=11' in out, out + err
    assert not (workspace / 'ruined').exists()


def test_an_unknown_config_is_reported_in_one_line(workspace):
    code, _, err = run('doctor.py', 'nothing.py', cwd=workspace)
    assert code == 2 and err.strip().splitlines()[-1] == 'error: no such config: nothing.py'
