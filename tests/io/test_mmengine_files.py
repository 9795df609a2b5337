import json
import pickle

import pytest
import torch
from canaries import poison_checkpoint, poison_pickle
from mmengine.model import BaseModule
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.utils import datafrombytes
from torch import nn

from mmseg_kd.io import mmengine_files
from mmseg_kd.io.checkpoint import CheckpointError
from mmseg_kd.io.trust import TRUST


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """MMEngine's cache with a list of names; all addresses lead to one poisoned file."""
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    (tmp_path / 'open_mmlab.json').write_text(json.dumps({'local': 'c.pth', 'far': 'https://a.example/c.pth'}))
    monkeypatch.setattr('mmseg_kd.io.checkpoint.download', lambda address: str(tmp_path / 'c.pth'))
    poison_checkpoint(tmp_path / 'c.pth', tmp_path / 'ran')
    return tmp_path


NAMES = [
    'c.pth',
    'https://a.example/c.pth',
    'openmmlab://local',
    'open-mmlab://far',
    'open-mmlab://resnet18_v1c',
    'mmcls://resnet18',
]


@pytest.mark.parametrize('name', NAMES)
def test_no_loader_of_mmengine_runs_a_checkpoint(zoo, monkeypatch, name):
    monkeypatch.chdir(zoo)
    with pytest.raises(CheckpointError, match=r'it wants posix\.mkdir.*--trust-files'):
        CheckpointLoader.load_checkpoint(name)
    assert not (zoo / 'ran').exists()


@pytest.mark.parametrize('name', [name for name in NAMES if not name.startswith('mmcls')])
def test_all_load_a_file_that_is_trusted(zoo, monkeypatch, name):
    monkeypatch.chdir(zoo)
    monkeypatch.setenv(TRUST, '1')
    assert CheckpointLoader.load_checkpoint(name)['state_dict']['weight'] == 1


def test_no_scheme_of_mmengine_is_left_out():
    ours = {prefix for prefixes in mmengine_files.LOADERS.values() for prefix in prefixes}
    # These find an address, and call a loader above by its name in MMEngine's module.
    names = {'modelzoo://', 'torchvision://', 'mmcls://'}
    assert set(CheckpointLoader._schemes) - ours - names <= {'pavi://'}
    assert mmengine_checkpoint.load_from_http is mmengine_files.load_from_http
    for function in ('_safe_torch_load',):  # the continuation's, for pavi://
        assert getattr(mmengine_checkpoint, function, mmengine_files._torch_load) is mmengine_files._torch_load


def test_a_missing_file_is_an_error_as_mmengine_raises_it():
    with pytest.raises(FileNotFoundError, match='no such checkpoint: nowhere.pth'):
        CheckpointLoader.load_checkpoint('nowhere.pth')


def test_images_that_are_pickles_run_nothing(tmp_path):
    poison_pickle(tmp_path / 'scan.pkl', tmp_path / 'ran')
    with pytest.raises(ValueError, match='could run code'):
        datafrombytes((tmp_path / 'scan.pkl').read_bytes(), 'pickle')
    assert not (tmp_path / 'ran').exists()
    assert datafrombytes(pickle.dumps([[1]]), 'pickle') == [[1]]


def test_a_file_that_holds_one_tensor_is_read(tmp_path):
    torch.save(torch.ones(2), tmp_path / 'embedding.pth')
    assert CheckpointLoader.load_checkpoint(str(tmp_path / 'embedding.pth')).tolist() == [1, 1]


def test_tensors_are_put_where_mmengine_asks(tmp_path):
    torch.save(dict(a=torch.ones(2)), tmp_path / 'c.pth')
    assert CheckpointLoader.load_checkpoint(str(tmp_path / 'c.pth'), map_location='meta')['a'].device.type == 'meta'


class Network(BaseModule):
    def __init__(self, path, prefix=None):
        super().__init__(dict(type='Pretrained', checkpoint=path, prefix=prefix))
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_pretrained_weights_of_which_none_fits_are_refused(tmp_path, prefix):
    path, start = str(tmp_path / 'other.pth'), prefix or ''
    torch.save({f'{start}stem.weight': torch.ones(4, 3, 1, 1), f'{start}conv.weight': torch.ones(5, 3, 1, 1)}, path)
    with pytest.raises(CheckpointError, match='none of the 2 weights fits Network, whose first weight is conv.weight'):
        Network(path, prefix).init_weights()
    # One that fits is enough: other heads and classes are common.
    torch.save({f'{start}stem.weight': torch.ones(1), f'{start}norm.weight': torch.full((4,), 7.0)}, path)
    network = Network(path, prefix)
    network.init_weights()
    assert network.norm.weight.tolist() == [7, 7, 7, 7]
