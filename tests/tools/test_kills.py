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
from cached_distillation import files
from fork_server import forked_environment, forked_python
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

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
train_cfg = dict(max_iters=40, val_interval=2)
param_scheduler = [dict(type='PolyLR', begin=0, end=40, by_epoch=False)]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=1, save_best='mIoU'))
randomness = dict(seed=1)
"""


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kills')
    write_camvid_tree(folder / 'data' / 'camvid')
    teacher, student = (toy_segmentor(width, num_classes=11, size=64).to_dict() for width in (8, 4))
    (folder / 'distilled.py').write_text(CONFIG.format(student=student, pi=PI))
    (folder / 'teacher.py').write_text(f"_base_ = 'distilled.py'\nmodel = dict(_delete_=True, **{teacher!r})")
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
            r'stopped by SIGTERM: \S+/iter_\d+\.pth is saved, and the same command with --resume continues',
        ),
        (signal.SIGINT, 130, 'interrupted: the same command with --resume continues from the last checkpoint'),
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


def kill(process, folder, chance):
    """Kill a process, half of the time while it writes its n-th file, else within a second after its first one.

    Returns:
        bool: Whether it still ran.
    """
    writes, end, seen = chance.choice([None, chance.randint(1, 12)]), None, set()
    before = set(folder.rglob('*'))
    while process.poll() is None and (end is None or time.monotonic() < end):
        seen |= set(folder.rglob('.mmseg_kd.*.tmp')) - before
        if writes and len(seen) >= writes:
            break
        begun = seen or any(path.name == 'scalars.json' for path in set(folder.rglob('scalars.json')) - before)
        if begun and end is None:
            end = time.monotonic() + (60 if writes else chance.uniform(0, 1))
        time.sleep(0.001)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_cache_is_the_same_byte_by_byte(place):
    command = [ROOT / 'tools/cache_teacher.py', 'distilled.py', '--views', '60', '--shard-size', '0.001', '--out']
    finish(place, *command, 'whole')
    chance, folder, log = random.Random(0), place / 'killed', place / 'cache.log'

    def shards():
        return len(list(folder.rglob('*.safetensors')))

    for number, status in (*[(signal.SIGKILL, -signal.SIGKILL)] * 3, (signal.SIGTERM, 0)):
        with log.open('w') as out:
            process, wanted = start(place, *command, folder, out=out), shards() + chance.randint(1, 9)
        while process.poll() is None and shards() < wanted:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.01))
        os.killpg(process.pid, number)
        assert process.wait(300) == status, log.read_text()[-3000:]
    assert 'the same command makes the other shards' in log.read_text().splitlines()[-1]
    assert not (folder / 'index.json').exists() and shards() > 4
    finish(place, *command, folder)
    assert files(folder) == files(place / 'whole') and shards() == 120


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


@pytest.mark.slow
def test_a_distillation_ends_with_the_same_weights_best_checkpoint_and_student(place):
    command = [ROOT / 'tools/train.py', 'distilled.py', '--work-dir']
    finish(place, *command, 'undisturbed')
    chance, kills, runs = random.Random(0), 0, 0
    while kills < 25:
        runs += 1
        while kill(start(place, *command, f'killed_{runs}', '--resume'), place / f'killed_{runs}', chance):
            kills += 1
        finish(place, *command, f'killed_{runs}', '--resume')  # nothing is left to do but what was killed in its end
        whole, left = results(place / 'undisturbed'), results(place / f'killed_{runs}')
        assert left.keys() == whole.keys() and 'student/student.pth' in left
        for name in whole:
            if name.endswith('.pth'):
                expected = weights(whole[name])
                assert all(torch.equal(value, expected[key]) for key, value in weights(left[name]).items()), name


def results(folder):
    return {
        str(path.relative_to(folder)): path
        for path in folder.rglob('*')
        if path.suffix in ('.pth', '.tmp') or path.name == 'last_checkpoint' or path.parent.name == 'student'
    }


@pytest.mark.slow
def test_all_images_are_labeled_as_without_kills(place):
    (place / 'images').mkdir()
    image = next((place / 'data' / 'camvid' / 'img_dir' / 'train').iterdir())
    for number in range(1000):  # seconds, also on a fast machine
        (place / 'images' / f'{number}{image.suffix}').write_bytes(image.read_bytes())
    command = [ROOT / 'tools/pseudo_label.py', 'teacher.py', 'teacher.pth', 'images']
    finish(place, *command, 'labels', '--top-k', 2)
    chance, kills = random.Random(1), 0
    while kills < 10 and kill(start(place, *command, 'killed', '--top-k', 2), place / 'killed', chance):
        kills += 1
    assert kills >= 2  # on a fast machine, it ends before more
    finish(place, *command, 'killed', '--top-k', 2)
    whole, left = (
        {path.relative_to(place / name): path.read_bytes() for path in (place / name).rglob('*.*')}
        for name in ('labels', 'killed')
    )
    whole, left = (
        {name: content for name, content in files.items() if name.suffix != '.jsonl'} for files in (whole, left)
    )
    assert whole == left
