"""The order of rooms: each may import what stands below it, never what stands above."""

import ast
from pathlib import Path

import pytest

import mmseg_kd

ROOT = Path(mmseg_kd.__file__).parent
# From the roof down. Rooms of one floor do not import each other.
FLOORS = [
    ['recipes'],
    ['sweep', 'comparison', 'doctor'],
    ['engine'],
    ['visualization'],
    ['profiling', 'evaluation'],
    ['datasets'],
    ['labeling'],
    ['distillers'],
    ['masks'],
    ['losses'],
    ['adapters', 'models', 'cache'],
    ['io'],
    ['constants', 'version', 'stack', 'deferred'],
]
FLOOR = {room: len(FLOORS) - floor for floor, rooms in enumerate(FLOORS) for room in rooms}
APART = {
    'testing',
    'registry',
    'registration',
    '__init__',
}  # toys, which anything may be tested with; and the front door


def room_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix('.py')


def imported_rooms(path):
    """The rooms that a file imports, relatively or by name, at its top or inside of functions."""
    package = ['mmseg_kd', *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name.split('.') for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split('.') if node.module else [])
            modules = [base] if len(base) > 1 else [[*base, alias.name] for alias in node.names]
        else:
            continue
        yield from (module[1] for module in modules if module[0] == 'mmseg_kd' and len(module) > 1)


def imports():
    return {
        (room_of(path), room): path.relative_to(ROOT)
        for path in sorted(ROOT.rglob('*.py'))
        if '.mim' not in path.parts
        for room in imported_rooms(path)
    }


def test_every_room_has_a_floor():
    assert {room_of(path) for path in ROOT.rglob('*.py') if '.mim' not in path.parts} == FLOOR.keys() | APART


def test_the_reader_of_imports_finds_all_forms():
    file = ROOT / 'engine' / 'hooks' / 'energy_hook.py'
    assert set(imported_rooms(file)) == {'profiling'}
    assert ('distillers', 'losses') in imports() and ('engine', 'distillers') in imports()


@pytest.mark.parametrize(
    'upper,lower', sorted(pair for pair in imports() if pair[0] != pair[1] and pair[0] not in APART)
)
def test_no_arrow_runs_up_or_sideways(upper, lower):
    assert FLOOR[upper] > FLOOR.get(lower, len(FLOORS)), f'{imports()[upper, lower]} of {upper} imports {lower}'
