"""The command lines, run as a user runs them."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fork_server import forked_environment, forked_python
from mmengine.config import Config

from mmseg_kd.testing.toys import toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

ROOT = Path(__file__).resolve().parents[2]
PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0)


def sh(*command, cwd, **env):
    """Run a command; its output, with stderr."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, env=forked_environment(**env)
    )
    return done.returncode, done.stdout + done.stderr


def python(*command, cwd, **env):
    return sh(forked_python(), *command, cwd=cwd, **env)


@pytest.fixture(scope='module')
def workspace(tmp_path_factory):
    """A folder as a user has it: data, a config that inherits from ours, a trained teacher."""
    folder = tmp_path_factory.mktemp('workspace')
    write_camvid_tree(folder / 'data' / 'camvid')
    teacher = toy_segmentor(8, num_classes=11)
    teacher.backbone.norm_cfg = dict(type='SyncBN', requires_grad=True)
    (folder / 'teacher.py').write_text(
        "_base_ = ['mmseg_kd::_base_/datasets/camvid_240x180.py', 'mmseg_kd::_base_/schedules/adamw_600.py',\n"
        "          'mmseg_kd::_base_/default_runtime.py']\n"
        f'model = {teacher.to_dict()!r}\n'
        'model.update(data_preprocessor=dict(model["data_preprocessor"], size=(64, 64)))\n'
        'train_pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"),\n'
        '                  dict(type="RandomCrop", crop_size=(64, 64)), dict(type="PackSegInputs")]\n'
        'train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False,\n'
        '                        dataset=dict(pipeline=train_pipeline))\n'
        'val_dataloader = dict(num_workers=0, persistent_workers=False)\n'
        'test_dataloader = val_dataloader\n'
        'train_cfg = dict(max_iters=4, val_interval=2)\n'
        'default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))\n'
    )
    student = toy_segmentor(4, num_classes=11, size=64)
    student.decode_head.norm_cfg = dict(type='SyncBN', requires_grad=True)
    (folder / 'distilled.py').write_text(
        "_base_ = './teacher.py'\n"
        f'model = dict(_delete_=True, type="Distiller", student={student.to_dict()!r},\n'
        '             teacher=dict(config="teacher.py", checkpoint="work_dirs/teacher/iter_4.pth"),\n'
        f'             terms=dict(loss_pi={PI!r}))\n'
    )
    code, output = python(ROOT / 'tools/train.py', 'teacher.py', cwd=folder)
    assert code == 0, output[-3000:]
    return folder


@pytest.fixture(scope='module')
def trained(workspace):
    code, output = python(ROOT / 'tools/train.py', 'distilled.py', cwd=workspace, PYTHONWARNINGS='')
    assert code == 0, output[-3000:]
    return workspace / 'work_dirs' / 'distilled', output


def miou(output):
    return float(re.findall(r'mIoU: (\d+\.\d+)', output)[-1])


@pytest.mark.skipif(torch.cuda.is_available(), reason='SyncBN stays where there is a GPU')
def test_training_says_what_it_does(trained):
    _, output = trained
    assert 'SyncBN, which needs one, is replaced by BN' in output
    assert output.count('replaced by BN') == 1
    summary = output[output.index('Distillation') : output.index('Iter(train)')]
    assert 'teacher' in summary and 'loss_pi' in summary
    assert 'loss_pi: ' in output and 'exported to' in output


def test_all_warnings_name_a_config_key_or_are_in_the_tutorial(trained):
    tutorial = (ROOT / 'docs' / 'tutorial.md').read_text(encoding='utf-8')
    warned = [line for line in trained[1].splitlines() if 'warning' in line.lower() or 'Could not import' in line]
    ours = [line for line in warned if re.search(r'(param_scheduler|train_dataloader|model)\.\w+', line)]
    others = [
        re.sub(r'.* - WARNING - ', '', line).split(' in future')[0].split(' and the former')[0].rstrip('.')
        for line in warned
        if line not in ours
    ]
    assert len(ours) == 2, ours  # the schedule is cut off, and the batch is smaller than the one of the learning rate
    assert all(line in tutorial for line in others), others


def test_testing_needs_no_teacher_and_gives_the_logged_result(trained, workspace, tmp_path):
    work_dir, output = trained
    (best,) = work_dir.glob('best_mIoU_iter_*.pth')
    shutil.copytree(workspace / 'data', tmp_path / 'data')
    shutil.copy(workspace / 'distilled.py', tmp_path)
    shutil.copy(workspace / 'teacher.py', tmp_path)  # it is the base of the other config; its checkpoint stays away
    code, tested = python(ROOT / 'tools/test.py', 'distilled.py', best, '--out', 'predicted', cwd=tmp_path)
    assert code == 0, tested[-3000:]
    expected = [float(v) for v in re.findall(r'best checkpoint with (\d+\.\d+) mIoU', output)][-1]
    assert miou(tested) == pytest.approx(expected, abs=0.011)
    assert len(list((tmp_path / 'predicted').glob('*.png'))) > 0


def test_test_time_augmentation_runs(trained, workspace):
    work_dir, _ = trained
    code, output = python(
        ROOT / 'tools/test.py',
        'distilled.py',
        work_dir / 'iter_4.pth',
        '--tta',
        '--work-dir',
        'tta',
        '--show-dir',
        'painted',
        cwd=workspace,
    )
    assert code == 0, output[-3000:]
    assert len(list((workspace / 'painted').rglob('*.png'))) == 2
    assert miou(output) >= 0


def test_an_interrupted_run_resumes_and_completes(trained, workspace):
    command = ROOT / 'tools/train.py', 'distilled.py', '--work-dir', 'part'
    code, output = python(*command, '--cfg-options', 'train_cfg.max_iters=2', cwd=workspace)
    assert code == 0, output[-3000:]
    code, output = python(*command, '--resume', cwd=workspace)
    assert code == 0, output[-3000:]
    assert 'iter: 2' in output and 'Iter(train) [4/4]' in output and 'Iter(train) [2/4]' not in output
    assert (workspace / 'part' / 'student' / 'student.pth').exists()


def test_a_config_inherits_ours_before_the_package_is_imported(workspace):
    (workspace / 'downstream.py').write_text(
        "_base_ = ['mmseg_kd::camvid/pi_r18_r18half_camvid.py']\nmodel = dict(terms=dict(loss_pi=dict(weight=7.0)))\n"
    )
    parse = (
        'import sys; from mmengine.config import Config; print(Config.fromfile(sys.argv[1]).model.terms.loss_pi.weight)'
    )
    code, output = sh(sys.executable, '-c', parse, 'downstream.py', cwd=workspace)
    assert code == 0 and output.strip().endswith('7.0'), output[-3000:]


@pytest.mark.slow  # tests/test_readme.py trains in the stock tool
def test_the_stock_tool_tests_a_distilled_student(trained, workspace):
    import mmseg

    stock = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'test.py'
    command = 'distilled.py', trained[0] / 'iter_4.pth', '--work-dir', 'stock'
    code, output = sh(sys.executable, stock, *command, cwd=workspace)
    assert code == 0 and miou(output) >= 0, output[-3000:]


@pytest.mark.skipif(torch.cuda.is_available(), reason='the two processes would want two GPUs')
def test_two_processes_on_gloo_train_and_test(trained, workspace):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    code, output = sh(
        'bash', ROOT / 'tools/dist_train.sh', 'distilled.py', 2, '--work-dir', 'dist', cwd=workspace, PORT=str(port)
    )
    assert code == 0, output[-3000:]
    assert 'Distributed training: True' in output and 'loss_pi: ' in output
    code, output = sh(
        'bash',
        ROOT / 'tools/dist_test.sh',
        'distilled.py',
        'dist/iter_4.pth',
        2,
        '--work-dir',
        'dist',
        cwd=workspace,
        PORT=str(port),
    )
    assert code == 0, output[-3000:]
    assert miou(output) >= 0


@pytest.mark.parametrize(
    'command, message',
    [
        (['train.py', 'nothing.py'], 'no such config: nothing.py'),
        (['test.py', 'distilled.py', 'nothing.pth'], 'no such checkpoint: nothing.pth'),
        (
            ['train.py', 'distilled.py', '--cfg-options', 'model.terms.loss_pi.student=backbone.layer9'],
            'model.terms.loss_pi.student: "backbone.layer9" names no module',
        ),
        (
            ['train.py', 'distilled.py', '--cfg-options', 'model.teacher.checkpoint=nothing.pth'],
            'model.teacher.checkpoint: no such checkpoint: nothing.pth',
        ),
    ],
)
def test_bad_input_ends_in_one_clear_line(trained, workspace, command, message):
    code, output = python(ROOT / 'tools' / command[0], *command[1:], '--work-dir', 'bad', cwd=workspace)
    assert code == 2 and output.strip().splitlines()[-1].startswith(f'error: {message}')
    assert 'Traceback' not in output and not list((workspace / 'bad').glob('*.pth'))


def test_the_shell_scripts_parse_and_pass_their_options(tmp_path):
    fake = tmp_path / 'srun'
    fake.write_text('#!/usr/bin/env bash\necho "$@"\n')
    fake.chmod(0o755)
    for script, arguments, end in (
        ('slurm_train.sh', ['part', 'job', 'c.py', '--amp'], 'train.py c.py --launcher slurm --amp'),
        ('slurm_test.sh', ['part', 'job', 'c.py', 'c.pth', '--tta'], 'test.py c.py c.pth --launcher slurm --tta'),
    ):
        code, output = sh(
            'bash',
            ROOT / 'tools' / script,
            *arguments,
            cwd=tmp_path,
            PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
        )
        assert code == 0 and output.strip().endswith(end) and '-p part --job-name=job' in output


def test_the_exported_config_is_the_students(trained):
    config = Config.fromfile(trained[0] / 'student' / 'config.py')
    assert config.model.type == 'EncoderDecoder' and 'mmseg_kd' not in config.pretty_text
