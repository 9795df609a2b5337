import json
import os
import re
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fork_server import forked_python
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from PIL import Image

from mmseg_kd.io.data_sets import data_set_facts
from mmseg_kd.testing.toys import toy_segmentor

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('labels')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    network = toy_segmentor(num_classes=11)
    torch.save(dict(state_dict=MODELS.build(network).state_dict()), folder / 'weights.pth')
    (folder / 'config.py').write_text(f"""
model = {network.to_dict()!r}
test_dataloader = dict(dataset=dict(type='CamVidDataset', pipeline=[
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))
""")
    (folder / 'images').mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / 'images' / f'{number}.png')
    return folder


def label(folder, *arguments, launcher=()):
    return subprocess.run(
        [
            forked_python(),
            *launcher,
            'tools/pseudo_label.py',
            str(folder / 'config.py'),
            str(folder / 'weights.pth'),
            str(folder / 'images'),
            *arguments,
        ],
        cwd=ROOT,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_folder_is_labeled_and_the_classes_are_reported(folder):
    run = label(folder, str(folder / 'out'), '--top-k', '2')
    assert run.returncode == 0, run.stderr[-2000:]
    assert re.search('labeling +3 images, in', run.stderr)
    assert (
        run.stdout.startswith('| class ') and '3 images; 0.0 % of the pixels are ignored, mean confidence' in run.stdout
    )
    assert sorted(path.name for path in (folder / 'out').iterdir()) == [
        '0.npz',
        '0.png',
        '1.npz',
        '1.png',
        '2.npz',
        '2.png',
        'labels.json',
        'parts',
        'settings.json',
    ]
    assert json.loads((folder / 'out' / 'labels.json').read_text())['images']['2']['size'] == [20, 30]


def test_a_list_of_images_is_labeled_and_their_data_set_is_judged_by(folder, monkeypatch, capsys):

    def run(*arguments):
        monkeypatch.setattr(
            sys,
            'argv',
            [
                'pseudo_label.py',
                *map(str, [folder / 'config.py', folder / 'weights.pth', folder / 'images', *arguments]),
            ],
        )
        runpy.run_path(str(ROOT / 'tools' / 'pseudo_label.py'), run_name='__main__')

    for name, ids in dict(val='0\n', test='2\n', wrong='7\n').items():
        (folder / f'{name}.txt').write_text(ids)
    run(folder / 'some', '--ids', folder / 'val.txt', folder / 'test.txt')
    assert list(json.loads((folder / 'some' / 'labels.json').read_text())['images']) == ['0', '2']
    judged = dict(
        type='PseudoLabelDataset',
        images=str(folder / 'images'),
        labels=str(folder / 'some'),
        ids=str(folder / 'test.txt'),
    )
    assert len(DATASETS.build(judged)) == 1
    # A student that is validated by them labels in turn: its config knows the classes.
    assert list(data_set_facts(judged, 'here')[0]['classes']) == list(DATASETS.get('CamVidDataset').METAINFO['classes'])
    with pytest.raises(SystemExit, match='^2$'):
        run(folder / 'none', '--ids', folder / 'wrong.txt')
    assert re.search('^error: --ids: 1 of 1 ids of .*wrong.txt have no image in', capsys.readouterr().err, re.MULTILINE)


def test_two_processes_make_the_same_labels_as_one(folder):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    alone = label(folder, str(folder / 'alone'))
    both = label(
        folder,
        str(folder / 'both'),
        '--launcher',
        'pytorch',
        launcher=['-m', 'torch.distributed.run', '--nproc_per_node', '2', '--master_port', port],
    )
    assert alone.returncode == both.returncode == 0, both.stderr[-2000:]
    assert both.stdout.count('| class ') == 1 and both.stdout.endswith(alone.stdout)
    for number in range(3):
        assert (folder / 'alone' / f'{number}.png').read_bytes() == (folder / 'both' / f'{number}.png').read_bytes()


def test_what_is_wrong_is_one_line(folder):
    run = label(folder, str(folder / 'images'))
    assert run.returncode == 2 and run.stderr.splitlines()[-1] == (
        f'error: {folder / "images"} must be empty or hold labels of the same source, but holds other files'
    )
