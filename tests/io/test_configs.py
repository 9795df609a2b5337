import pytest
from mmengine.config import Config
from mmseg.models import EncoderDecoder, ResNetV1c
from torch import nn

from mmseg_kd.distillers import Distiller
from mmseg_kd.io.configs import imports_with, named_types, read_config, replaced_entries

SYNC_BN = 'torch.nn.modules.batchnorm.SyncBatchNorm'  # MMEngine registers a class of its own as SyncBN


class Own:
    """In no registry."""


@pytest.mark.parametrize(
    'kind, name',
    [
        (EncoderDecoder, 'EncoderDecoder'),
        (ResNetV1c, 'ResNetV1c'),
        (nn.BatchNorm2d, 'BN'),
        (nn.SyncBatchNorm, SYNC_BN),
        (nn.ReLU, 'ReLU'),
        (Distiller, 'Distiller'),
        (Own, f'{__name__}.Own'),
        ('torch.nn.SyncBatchNorm', SYNC_BN),
        ('mmseg_kd.Distiller', 'Distiller'),
        ('mmseg.models.EncoderDecoder', 'EncoderDecoder'),
        ('BN', 'BN'),
        ('mmpretrain.EfficientNet', 'mmpretrain.EfficientNet'),
        ('nowhere.at.All', 'nowhere.at.All'),
    ],
)
def test_a_type_is_spelled_as_the_stock_tools_know_it(kind, name):
    assert named_types([dict(type=kind, norm=dict(type=kind))]) == [dict(type=name, norm=dict(type=name))]


def test_what_is_no_type_stays_as_it_is():
    node = dict(size=(1, 2), layers=[dict(a=nn.ReLU)], other='torch.nn.ReLU')
    assert named_types(node) == node


def test_a_config_of_strings_is_read_as_mmengine_reads_it(tmp_path):
    (tmp_path / 'a.py').write_text("model = dict(type='EncoderDecoder')\n")
    assert read_config(str(tmp_path / 'a.py')).to_dict() == dict(model=dict(type='EncoderDecoder'))


def test_a_config_of_classes_is_read_with_names_scope_and_import(tmp_path):
    (tmp_path / 'a.py').write_text(
        'from mmseg.models import EncoderDecoder\nmodel = dict(type=EncoderDecoder)\n'
        "custom_imports = dict(imports='json')\n"
    )
    config = read_config(str(tmp_path / 'a.py'))
    assert config.to_dict() == dict(
        model=dict(type='EncoderDecoder'), default_scope='mmseg', custom_imports=dict(imports=['json', 'mmseg_kd'])
    )
    assert config.filename == str(tmp_path / 'a.py')
    (tmp_path / 'dumped.py').write_text(config.pretty_text)
    assert Config.fromfile(tmp_path / 'dumped.py').model.type == 'EncoderDecoder'


@pytest.mark.parametrize(
    'known, expected', [(None, ['x']), (dict(imports=['a', 'x']), ['a', 'x']), (dict(imports='a'), ['a', 'x'])]
)
def test_an_import_is_added_once(known, expected):
    assert imports_with(known, 'x')['imports'] == expected


BASE = "custom_hooks = [dict(type='EMAHook')]\ncustom_imports = dict(imports=['json', 'mmseg_kd'])\n"


@pytest.mark.parametrize(
    'child, lost',
    [
        ('', []),
        ("custom_hooks = [dict(type='EMAHook'), dict(type='TermWeightHook')]", []),
        ("custom_hooks = [*_base_.custom_hooks, dict(type='TermWeightHook')]", []),
        ("custom_imports = dict(imports=['json'])", []),
        (
            "custom_hooks = [dict(type='TermWeightHook')]",
            ['custom_hooks replaces the list of its base and loses EMAHook; write'],
        ),
        (
            "custom_imports = dict(imports=['mmseg_kd'])\ncustom_hooks = []",
            ['loses EMAHook', 'custom_imports replaces the list of its base and loses json'],
        ),
    ],
)
def test_a_list_that_a_config_replaces_is_told(tmp_path, child, lost):
    (tmp_path / 'base.py').write_text(BASE)
    (tmp_path / 'child.py').write_text(f"_base_ = ['./base.py']\n{child}\n")
    (tmp_path / 'grandchild.py').write_text("_base_ = './child.py'\n")
    for name in ('child.py', 'grandchild.py'):
        lines = replaced_entries(tmp_path / name)
        assert len(lines) == len(lost) and all(part in line for part, line in zip(lost, lines))


def test_what_a_library_has_in_its_list_is_told_too(tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = ['mmseg_kd::semi/mt_r18_voc12aug.py']\ncustom_hooks = [dict(type='EMAHook')]\n"
    )
    (line,) = replaced_entries(tmp_path / 'mine.py')
    assert 'MeanTeacherHook' in line
