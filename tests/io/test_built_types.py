import sys

import pytest
from mmengine.config import Config

from mmseg_kd.io.built_types import check_built_types
from mmseg_kd.io.configs import config_file
from mmseg_kd.io.safe_pickle import UnsafeFileError
from mmseg_kd.io.trust import TRUST

OWN_PATH = dict(type='mmseg_kd.datasets.camvid.CamVidDataset')


@pytest.mark.parametrize('leaf', ['kd/effb0_cityscapes.py', 'demo/distilled.py'])
def test_configs_of_this_package_build_what_is_allowed(leaf):
    config = Config.fromfile(config_file(f'mmseg_kd::{leaf}'))
    assert check_built_types(config, leaf) is None
    assert check_built_types(dict(val_dataloader=dict(dataset=OWN_PATH)), 'c') is None
    assert check_built_types(dict(model=dict(type='torch.nn.Conv2d')), 'c') is None


@pytest.mark.parametrize('kind', [
    'os.mkdir', 'subprocess.Popen', 'torch.hub.load', 'torch.load', 'mmengine.fileio.load', 'mmengine.Config.fromfile',
    'Nobody', 'os', 'mmengine.utils.import_modules_from_strings', None, 'evil.Net', 'builtins.eval',
])  # fmt: skip
def test_a_type_of_another_package_is_refused_with_its_key(kind):
    config = dict(model=dict(type='EncoderDecoder', parts=[dict(type=kind)]))
    with pytest.raises(UnsafeFileError, match=rf'^c\.py: model\.parts\.0\.type must name .* but is {kind}; .*--trust'):
        check_built_types(config, 'c.py')


def test_remote_code_and_foreign_modules_need_trust(tmp_path, monkeypatch):
    (tmp_path / 'own_losses.py').write_text('ran = True')
    monkeypatch.syspath_prepend(str(tmp_path))
    config = dict(model=dict(type='EncoderDecoder'), custom_imports=dict(imports='own_losses'))
    with pytest.raises(UnsafeFileError, match='custom_imports names own_losses, a module that would run'):
        check_built_types(config, 'c.py')
    assert 'own_losses' not in sys.modules
    with pytest.raises(UnsafeFileError, match=r'model\.trust_remote_code would run code'):
        check_built_types(dict(model=dict(trust_remote_code=True)), 'c.py')
    monkeypatch.setenv(TRUST, '1')
    check_built_types(config, 'c.py')
    assert sys.modules.pop('own_losses').ran
