"""The loop for real: a tiny teacher, tiny students, the command line, and SIGKILL."""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from fork_server import forked_python
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from mmseg_kd import config_file
from mmseg_kd.datasets import write_digit_scenes

pytest.importorskip('sklearn')
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """A config file: 12 scenes, a teacher with random weights, three trainings of 4 iterations."""
    folder = tmp_path_factory.mktemp('mckd')
    write_digit_scenes(folder / 'data', num_train=12, num_val=4)
    torch.manual_seed(0)
    init_default_scope('mmseg')
    teacher = MODELS.build(Config.fromfile(config_file('mmseg_kd::demo/teacher.py')).model)
    torch.save(dict(state_dict=teacher.state_dict()), folder / 'teacher.pth')
    data = folder / 'data'
    (folder / 'tiny.py').write_text(f"""
_base_ = 'mmseg_kd::mckd/r18_mlp_digits.py'
train_cfg = dict(
    teacher=dict(checkpoint='{folder / 'teacher.pth'}'), train=dict(max_iters=4, val_interval=2),
    truth=dict(data_root='{data}'))
train_dataloader = dict(batch_size=4, dataset=dict(images='{data}/img_dir/train'))
val_dataloader = dict(dataset=dict(data_root='{data}'))
test_dataloader = dict(dataset=dict(data_root='{data}'))
param_scheduler = [dict(type='PolyLR', begin=0, end=4, by_epoch=False)]
default_hooks = dict(checkpoint=dict(interval=1))
randomness = dict(seed=3)
""")
    return folder / 'tiny.py'


def start(config, work_dir, *arguments, out=subprocess.PIPE):
    return subprocess.Popen(
        [forked_python(), 'tools/train.py', str(config), '--work-dir', str(work_dir), *arguments],
        cwd=ROOT,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        stdout=out,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope='module')
def undisturbed(config):
    folder = config.parent / 'undisturbed'
    process = start(config, folder)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out[-3000:]
    return folder


def left(folder):
    """What a run leaves, but for logs, which tell of every start."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob('*') if path.is_file()}
    maps = {
        name: path.read_bytes()
        for name, path in files.items()
        if path.suffix in ('.png', '.txt') or path.name in ('mckd.md', 'labels.json')
    }
    weights = {
        name: torch.load(path, weights_only=False)['state_dict']
        for name, path in files.items()
        if path.name == 'iter_4.pth'
    }
    return maps, weights


def test_everything_is_left_in_its_place(undisturbed):
    maps, weights = left(undisturbed)
    assert sorted(weights) == ['final/iter_4.pth', 'stage_1/a/iter_4.pth', 'stage_1/b/iter_4.pth']
    assert sum(name.startswith('labels/teacher/') and name.endswith('.png') for name in maps) == 12
    assert sum(name.startswith('labels/stage_1/') and name.endswith('.png') for name in maps) == 12
    table = maps['mckd.md'].decode().splitlines()
    assert [cell.strip() for cell in table[0].split('|')[1:-1]] == [
        '',
        'images',
        'mIoU',
        'mean F1',
        "mIoU with the teacher's",
        'accuracy',
        'ignored',
        'confidence',
        'agreement',
    ]
    assert [line.split('|')[1].strip() for line in table[2:]] == [
        'labels/teacher',
        'stage_1/a',
        'stage_1/b',
        'stage_1/pair',
        'labels/stage_1/a',
        'labels/stage_1/b',
        'final',
    ]
    # Image, truth, teacher and stage 1, each of 1.6 + 0.05 inches.
    assert Image.open(undisturbed / 'labels.png').width == round(120 * (4 * 1.65 + 0.05))
    (log,) = undisturbed.glob('2*/*.log')
    assert maps['mckd.md'].decode() in log.read_text() and 'labels/stage_1/a: 6 of 6 images' in log.read_text()
    # Students of two halves and two seeds are two networks.
    first, second = (weights[f'stage_1/{half}/iter_4.pth'] for half in 'ab')
    assert any(not torch.equal(first[key], second[key]) for key in first)


def progress(folder):
    """Images labeled and iterations made."""
    steps = (re.search(r'iter_(\d+)', path.read_text()) for path in folder.rglob('last_checkpoint'))
    return len(list(folder.glob('labels/**/*.png'))) + sum(int(found[1]) for found in steps if found)


@pytest.mark.parametrize('kills', [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(config, undisturbed, kills):
    folder, chance = config.parent / f'killed_{kills}', random.Random(kills)
    killed = 0
    for kill in range(1, kills + 1):
        # Nobody reads what it says meanwhile, and a full pipe would stop it.
        process = start(config, folder, '--resume', out=subprocess.DEVNULL)
        # All over the run, however fast the machine is.
        goal, begun = max(kill * progress(undisturbed) // (kills + 1), progress(folder) + 1), time.monotonic()
        while process.poll() is None and progress(folder) < goal and time.monotonic() - begun < 300:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.3))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        killed += process.returncode == -signal.SIGKILL
    assert killed >= kills // 2  # on a fast machine, the run ends before the last ones
    process = start(config, folder, '--resume')
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out[-3000:]
    (maps, weights), (expected_maps, expected_weights) = left(folder), left(undisturbed)
    assert maps == expected_maps
    assert all(
        torch.equal(value, expected_weights[name][key])
        for name, state in weights.items()
        for key, value in state.items()
    )
    assert not list(folder.rglob('*.tmp'))


def test_a_second_run_does_not_overwrite_the_first(config, undisturbed):
    process = start(config, undisturbed)
    out, _ = process.communicate(timeout=600)
    assert process.returncode != 0 and 'already holds a run; continue it with --resume' in out.splitlines()[-1]
