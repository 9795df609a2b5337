"""Every way to complete the registration is in test_deferred.py."""

from mmseg.registry import MODELS

import mmseg_kd
from mmseg_kd import registration


def test_all_rooms_that_register_something_are_imported():
    assert set(registration.__all__) <= set(mmseg_kd.__all__)
    assert all(getattr(registration, room) is getattr(mmseg_kd, room) for room in registration.__all__)
    assert MODELS.get('Distiller') is mmseg_kd.Distiller
