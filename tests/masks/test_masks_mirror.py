"""Every mask is registered, exported, and has a test of its name."""

from pathlib import Path

import pytest
from mmseg.registry import MODELS

import mmseg_kd.masks
from mmseg_kd.masks import MaskedLoss

HERE, ROOM = Path(__file__).parent, Path(mmseg_kd.masks.__file__).parent


@pytest.mark.parametrize('path', sorted(ROOM.glob('*.py')), ids=lambda path: path.stem)
def test_every_file_has_a_test(path):
    assert path.stem == '__init__' or (HERE / f'test_{path.name}').exists()


@pytest.mark.parametrize('name', mmseg_kd.masks.__all__)
def test_every_mask_is_registered(name):
    cls = getattr(mmseg_kd.masks, name)
    assert cls is MaskedLoss or (issubclass(cls, MaskedLoss) and MODELS.get(name) is cls and cls.__doc__)
