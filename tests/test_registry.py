import mmseg.registry
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmseg_kd import registry


@pytest.mark.parametrize(
    'name', [name for name in dir(mmseg.registry) if isinstance(getattr(mmseg.registry, name), Registry)]
)
def test_every_registry_has_a_child_that_finds_what_its_parent_has(name):
    child, parent = getattr(registry, name), getattr(mmseg.registry, name)
    assert child.parent is parent and child.scope == 'mmseg_kd' and not child.module_dict


@pytest.mark.parametrize('kind', ['Distiller', 'mmseg_kd.Distiller', 'FCNHead', 'CWDLoss'])
def test_types_are_found_with_and_without_the_scope(kind):
    assert registry.MODELS.get(kind).__name__ == kind.rpartition('.')[2]


def test_a_config_with_the_scope_is_built():
    with DefaultScope.overwrite_default_scope('mmseg'):
        loss = mmseg.registry.MODELS.build(Config(dict(loss=dict(type='CWDLoss', _scope_='mmseg_kd'))).loss)
    assert type(loss).__name__ == 'CWDLoss'
