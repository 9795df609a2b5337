import pytest
from mmengine.config import Config

import mmseg_kd
from mmseg_kd import stack


@pytest.mark.parametrize(
    'installed, expected', [(stack.STACKS['onedl'], 'onedl'), (stack.STACKS['openmmlab'], 'openmmlab')]
)
def test_the_complete_stack_is_found(monkeypatch, installed, expected):
    monkeypatch.setattr(stack, '_is_installed', lambda name: name in installed)
    assert stack.installed_stack() == expected


@pytest.mark.parametrize(
    'installed, message',
    [
        ((), r'onedl-mmengine, onedl-mmcv, onedl-mmsegmentation is not installed: pip install "mmseg-kd\[onedl\]"'),
        (('mmengine', 'mmcv'), r'mmsegmentation is not installed: pip install "mmseg-kd\[openmmlab\]"'),
        (
            ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'mmengine'),
            'parts of both are installed .* pip uninstall -y mmengine && pip install --force-reinstall',
        ),
    ],
)
def test_none_or_both_is_one_sentence_with_the_command(monkeypatch, installed, message):
    monkeypatch.setattr(stack, '_is_installed', lambda name: name in installed)
    with pytest.raises(ImportError, match=message) as error:
        stack.installed_stack()
    assert '\n' not in str(error.value)


def test_no_metafile_is_read_to_find_a_config(tmp_path, monkeypatch):
    monkeypatch.delattr('mmengine.config.utils.load')
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = ['mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py']\n")
    assert Config.fromfile(config).model.backbone.depth == 50
    config.write_text("_base_ = ['mmseg::pspnet/none.py']\n")
    with pytest.raises(NameError):  # as before, the metafiles are searched for what is not there
        Config.fromfile(config)


def test_a_downstream_config_inherits_from_mmseg_and_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a relative location of the package would not survive this
    config = tmp_path / 'mine.py'
    config.write_text(
        "_base_ = ['mmseg_kd::kd/ifvd_r101_r18_cityscapes.py']\nmodel = dict(terms=dict(loss_ifv=dict(weight=7.0)))\n"
    )
    model = Config.fromfile(config).model
    assert model.type == 'Distiller' and model.terms.loss_ifv.weight == 7.0 and model.student.backbone.depth == 18
    config.write_text("_base_ = ['mmseg::_base_/models/pspnet_r50-d8.py']\n")
    assert Config.fromfile(config).model.backbone.depth == 50
    assert mmseg_kd.config_file('mmseg_kd::kd/ifvd_r101_r18_cityscapes.py').is_file()
