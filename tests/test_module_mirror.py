"""Every module of the package has a test of its own name in the same room.

pytest needs different names in different rooms, so ``test_<room>_<module>.py`` will do as well.
"""

import ast
from pathlib import Path

import pytest

import mmseg_kd

ROOT, TESTS = Path(mmseg_kd.__file__).parent, Path(__file__).parent
NOTHING_TO_TEST = {'constants': 'one constant', 'version': 'one constant'}
MODULES = sorted(
    path.relative_to(ROOT).with_suffix('').as_posix()
    for path in ROOT.rglob('*.py')
    if '.mim' not in path.parts and path.name != '__init__.py'
)


@pytest.mark.parametrize('module', [name for name in MODULES if name not in NOTHING_TO_TEST])
def test_every_module_has_a_test(module):
    room, _, name = module.rpartition('/')
    names = (f'test_{name}.py', f'test_{room.rpartition("/")[2]}_{name}.py')
    assert any((TESTS / room / file).is_file() for file in names), f'{module}.py needs tests/{room}/{names[0]}'


def test_exceptions_exist():
    assert NOTHING_TO_TEST.keys() <= set(MODULES)


def test_functions_that_take_long_exist():
    for name in (TESTS / 'long_tests.txt').read_text().splitlines():
        file, function = name.split('::')
        assert function in {getattr(node, 'name', '') for node in ast.parse((TESTS.parent / file).read_text()).body}, (
            name
        )
