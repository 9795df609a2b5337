"""The page on data tells where configs look, and how to go without a network."""

import json
import re
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from PIL import Image

from mmseg_kd import config_file
from mmseg_kd.io import downloads
from mmseg_kd.io.checkpoint import read_checkpoint
from mmseg_kd.io.configs import published_weights

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'data.md').read_text(encoding='utf-8')
TITLES = dict(
    cityscapes='Cityscapes',
    voc12='VOC 2012',
    voc12aug='VOC 2012 with SBD',
    ade20k='ADE20K',
    coco133='COCO 2017, panoptic',
    camvid='CamVid, and the scenes',
)


def expand(text):
    """What a shell makes of the braces of a line."""
    match = re.search(r'\{([^{}]*)\}', text)
    if match is None:
        return [text]
    before, after = text[: match.start()], text[match.end() :]
    return [line for choice in match[1].split(',') for line in expand(before + choice + after)]


def section(title):
    return re.search(rf'^## {re.escape(title)}[^\n]*\n(.*?)(?=^## |\Z)', PAGE, re.DOTALL | re.MULTILINE)[1]


def places(node):
    """Every folder and list below `data_root` that the data sets of a config read."""
    if isinstance(node, dict):
        if 'data_prefix' in node:
            lists = [node.ann_file] if node.get('ann_file') else []
            yield node.data_root.rstrip('/'), [*node.data_prefix.values(), *lists]
        else:
            for child in node.values():
                yield from places(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from places(child)


@pytest.mark.parametrize('data', TITLES)
def test_every_folder_and_list_that_a_config_reads_is_in_the_layout(data):
    config = Config.fromfile(config_file(f'mmseg_kd::_base_/datasets/{data}.py'))
    layout = [line for line in expand(section(TITLES[data])) for line in line.splitlines()]
    if data == 'voc12aug':
        layout += [line for text in expand(section('VOC 2012')) for line in text.splitlines()]
    found = list(places(dict(train=config.train_dataloader, val=config.val_dataloader)))
    assert found
    for root, names in found:
        assert f'{root}/' in [line.strip() for line in layout]
        for name in names:
            assert any(line.strip().startswith(name) for line in layout), name


def test_the_converters_are_there():
    converters = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'dataset_converters'
    named = re.findall(r'\$converters/(\w+\.py)', PAGE)
    assert named and all((converters / name).is_file() for name in named)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError('this wants a network')

    monkeypatch.setattr(downloads, 'open_address', refuse)


def test_auto_takes_the_file_that_lies_in_the_hub_folder(tmp_path, monkeypatch, no_network):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    (name,) = re.findall(r"address\('(mmseg::[^']*)'\)", PAGE)
    address = published_weights(name)
    file = tmp_path / 'hub' / 'checkpoints' / address.rsplit('/', 1)[1]
    file.parent.mkdir(parents=True)
    torch.save(dict(state_dict=dict(a=torch.ones(1))), file)
    monkeypatch.setattr(downloads, 'file_hash', lambda path: downloads._hash_in(path.name))
    assert read_checkpoint(address)['state_dict']['a'] == 1


def test_a_mirror_file_redirects_pretrained_backbones(tmp_path, monkeypatch, no_network):
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    mirror = json.loads(re.search(r'^ +(\{"resnet18_v1c.*\})$', PAGE, re.MULTILINE)[1])
    (tmp_path / 'open_mmlab.json').write_text(json.dumps(mirror))
    torch.save(dict(a=torch.ones(1)), tmp_path / mirror['resnet101_v1c'])
    assert CheckpointLoader.load_checkpoint('open-mmlab://resnet101_v1c')['a'] == 1


@pytest.mark.parametrize(
    'leaf, key',
    [
        ('semi/mgd_r18_voc12aug.py', 'model.student.pretrained'),
        ('kd/r18_cityscapes.py', 'model.pretrained'),
        ('mckd/oneformer_swinl_swint_cityscapes.py', 'model.student.backbone.init_cfg.checkpoint'),
        ('kd/effb0_cityscapes.py', 'model.backbone.init_cfg.checkpoint'),
        ('teachers/oneformer_swinl_coco133.py', 'model.pretrained'),
    ],
)
def test_the_keys_that_the_page_names_exist(leaf, key):
    node = Config.fromfile(config_file(f'mmseg_kd::{leaf}'))
    for part in key.split('.'):
        node = node[part]
    assert isinstance(node, str)


def test_the_snippet_mends_masks_of_0_and_255(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ('masks', 'labels'):
        (tmp_path / 'data' / 'mine' / folder).mkdir(parents=True)
    Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).save('data/mine/masks/a.png')
    (snippet,) = [block for block in re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL) if 'masks' in block]
    exec(snippet, {})
    assert np.asarray(Image.open('data/mine/labels/a.png')).tolist() == [[0, 1], [1, 0]]
