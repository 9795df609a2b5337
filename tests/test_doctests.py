"""The examples in docstrings run, each in a folder of its own."""

import doctest
import importlib
import inspect
import sys
from pathlib import Path

import pytest

import mmseg_kd

ROOT = Path(mmseg_kd.__file__).parent
ROOMS = [
    'adapters',
    'cache',
    'comparison',
    'datasets',
    'distillers',
    'doctor',
    'evaluation',
    'io',
    'labeling',
    'losses',
    'masks',
    'models',
    'sweep',
]
# Rooms in which every public class has an example.
COMPLETE = ROOMS
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples():
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob('*.py')):
        if path.stem == '__init__':
            continue
        module = importlib.import_module('.'.join(path.relative_to(ROOT.parent).with_suffix('').parts))
        for example in doctest.DocTestFinder(exclude_empty=True).find(module):
            if example.examples:
                yield pytest.param(example, id=example.name.removeprefix('mmseg_kd.'))


@pytest.mark.parametrize('example', examples())
def test_example(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = []
    failed = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=report.append).failed
    assert not failed, ''.join(report)


@pytest.mark.parametrize('room', COMPLETE)
def test_every_public_class_has_an_example(room):
    package = importlib.import_module(f'mmseg_kd.{room}')
    # A room without a list of its public names has them in its modules.
    modules = [sys.modules[name] for name in sys.modules if name.startswith(f'mmseg_kd.{room}.')]
    names = getattr(package, '__all__', None)
    public = [getattr(package, name) for name in names or ()] or [
        thing
        for module in modules
        for name, thing in vars(module).items()
        if not name.startswith('_') and getattr(thing, '__module__', '') == module.__name__
    ]
    missing = [
        cls.__name__
        for cls in public
        if inspect.isclass(cls) and not issubclass(cls, BaseException) and '>>> ' not in (cls.__doc__ or '')
    ]
    # An abstract mask needs a subclass, whose examples show it.
    assert [name for name in missing if name != 'MaskedLoss'] == []
