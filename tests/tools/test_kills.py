"""SIGKILL at random moments, many of them within a save: the finished work is as if nothing had happened."""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from fork_server import forked_environment, forked_python
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from mmseg_kd.testing.toys import toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

ROOT = Path(__file__).resolve().parents[2]
PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0)
CONFIG = """
_base_ = ['mmseg_kd::_base_/datasets/camvid_240x180.py', 'mmseg_kd::_base_/schedules/adamw_600.py',
          'mmseg_kd::_base_/default_runtime.py']
model = dict(type='Distiller', student={student!r}, teacher=dict(config='teacher.py', checkpoint='teacher.pth'),
             terms=dict(loss_pi={pi!r}))
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                  dict(type='RandomCrop', crop_size=(64, 64)), dict(type='PackSegInputs')]
train_dataloader = dict(batch_size=2, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=16, val_interval=2)
param_scheduler = [dict(type='PolyLR', begin=0, end=16, by_epoch=False)]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=1, save_best='mIoU'))
randomness = dict(seed=1)
"""


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kills')
    write_camvid_tree(folder / 'data' / 'camvid')
    teacher, student = (toy_segmentor(width, num_classes=11, size=64).to_dict() for width in (8, 4))
    (folder / 'distilled.py').write_text(CONFIG.format(student=student, pi=PI))
    (folder / 'teacher.py').write_text(f'model = {teacher!r}')
    torch.manual_seed(0)
    init_default_scope('mmseg')
    torch.save(dict(state_dict=MODELS.build(teacher).state_dict()), folder / 'teacher.pth')
    return folder


def start(place, *command, out=subprocess.DEVNULL):
    return subprocess.Popen(
        [forked_python(), *map(str, command)],
        cwd=place,
        env=forked_environment(),
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    'number, status, line',
    [
        (
            signal.SIGTERM,
            0,
            r'stopped by SIGTERM: \S+/iter_\d+\.pth is saved, and the same command with --resume goes on',
        ),
        (signal.SIGINT, 130, 'interrupted: the same command with --resume goes on from the last checkpoint'),
    ],
)
def test_a_signal_ends_a_training_with_one_line(place, number, status, line):
    log, work_dir = place / f'{number}.log', place / f'signal_{number}'
    process = start(place, ROOT / 'tools/train.py', 'distilled.py', '--work-dir', work_dir, out=log.open('w'))
    end = time.monotonic() + 300
    while 'Iter(train)' not in log.read_text() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(process.pid, number)
    assert process.wait(300) == status, log.read_text()[-3000:]
    assert re.search(line, log.read_text().strip().splitlines()[-1]) and 'Traceback' not in log.read_text()


def finish(place, *command):
    begin = time.monotonic()
    done = subprocess.run(
        [forked_python(), *map(str, command)], cwd=place, env=forked_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return time.monotonic() - begin


def kill(process, folder, seconds, chance):
    """Kill a process at a random moment, or, half of the time, while it writes its n-th file."""
    writes, end = chance.randint(1, 12) if chance.random() < 0.5 else None, time.monotonic() + seconds
    seen = set()
    while process.poll() is None and time.monotonic() < end:
        if writes:
            seen |= set(folder.rglob('.mmseg_kd.*.tmp'))
            if len(seen) >= writes:
                break
        time.sleep(0.001)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


@pytest.mark.slow
def test_a_distillation_ends_with_the_same_weights_best_checkpoint_and_student(place):
    command = [ROOT / 'tools/train.py', 'distilled.py', '--work-dir']
    seconds = finish(place, *command, 'undisturbed')
    chance, killed = random.Random(0), 0
    for _ in range(25):
        killed += kill(
            start(place, *command, 'killed', '--resume'), place / 'killed', chance.uniform(1, seconds), chance
        )
    assert killed >= 15
    finish(place, *command, 'killed', '--resume')
    whole, left = (
        {
            str(path.relative_to(place / name)): path
            for path in (place / name).rglob('*')
            if path.suffix in ('.pth', '.tmp') or path.name in ('last_checkpoint', 'config.py')
        }
        for name in ('undisturbed', 'killed')
    )
    names = {name for name in whole if 'vis_data' not in name}
    assert {name for name in left if 'vis_data' not in name} == names and 'student/student.pth' in names
    for name in names:
        if name.endswith('.pth'):
            expected = weights(whole[name])
            assert all(torch.equal(value, expected[key]) for key, value in weights(left[name]).items()), name


@pytest.mark.slow
def test_all_images_are_labeled_as_without_kills(place):
    images = place / 'data' / 'camvid' / 'img_dir' / 'train'
    for number in range(40):
        Image.open(sorted(images.glob('*.png'))[0]).save(place / f'{number}.png')
    folder = place / 'images'
    folder.mkdir()
    for path in place.glob('*.png'):
        path.rename(folder / path.name)
    finish(place, ROOT / 'tools/train.py', 'distilled.py', '--work-dir', 'labeler')
    (place / 'student.py').write_text((place / 'labeler/student/config.py').read_text())
    command = [ROOT / 'tools/pseudo_label.py', 'student.py', 'labeler/student/student.pth', 'images']
    seconds = finish(place, *command, 'labels', '--top-k', 2)
    chance = random.Random(1)
    killed = sum(
        kill(start(place, *command, 'killed_labels', '--top-k', 2), place / 'killed_labels', seconds, chance)
        for _ in range(10)
    )
    assert killed >= 3
    finish(place, *command, 'killed_labels', '--top-k', 2)
    whole, left = (
        {path.relative_to(place / name): path.read_bytes() for path in (place / name).rglob('*') if path.is_file()}
        for name in ('labels', 'killed_labels')
    )
    assert {name for name in left if name.parent.name != 'parts'} == {
        name for name in whole if name.parent.name != 'parts'
    }
    assert all(left[name] == content for name, content in whole.items() if name.suffix in ('.png', '.json'))
