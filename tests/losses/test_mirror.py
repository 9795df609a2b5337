"""The room and its tests mirror each other; what is written is also exported, registered and short."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from mmseg.registry import MODELS

import mmseg_kd.losses
from mmseg_kd.losses import DistillLoss

HERE = Path(__file__).parent
ROOM = Path(mmseg_kd.losses.__file__).parent
NAMES = sorted(path.stem for path in ROOM.glob('*_loss.py'))


def losses_in(name):
    module = importlib.import_module(f'mmseg_kd.losses.{name}')
    return [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and issubclass(cls, DistillLoss)
    ]


def code_lines(path):
    """Lines with code: no blank lines, no comments, no docstrings, no closing brackets alone."""
    tree = ast.parse(path.read_text())
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            docstrings.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(path.read_text().splitlines(), start=1)
    return [line for i, line in lines if i not in docstrings and line.strip(' ()[]{}:,') and line.strip()[0] != '#']


@pytest.mark.parametrize('name', NAMES)
def test_every_loss_has_a_test(name):
    path = HERE / f'test_{name}.py'
    assert path.exists(), f'{name}.py needs a test file {path.name}'
    assert any(
        isinstance(node, ast.FunctionDef) and node.name.startswith('test_') for node in ast.parse(path.read_text()).body
    )


def test_every_test_of_a_loss_has_its_loss():
    assert sorted(path.stem[len('test_') :] for path in HERE.glob('test_*_loss.py')) == NAMES


@pytest.mark.parametrize('name', NAMES)
def test_every_loss_is_exported_and_registered(name):
    losses = losses_in(name)
    assert losses, f'{name}.py defines no loss'
    for cls in losses:
        assert cls.__name__ in mmseg_kd.losses.__all__
        assert getattr(mmseg_kd.losses, cls.__name__) is cls
        assert MODELS.get(cls.__name__) is cls
        assert cls.__doc__


def test_losses_live_in_files_that_say_so():
    for path in ROOM.glob('*.py'):
        if path.stem not in NAMES + ['base', '__init__']:
            assert not losses_in(path.stem), f'{path.name} defines a loss: call it ..._loss.py'


def test_exports_are_sorted():
    assert mmseg_kd.losses.__all__ == sorted(mmseg_kd.losses.__all__, key=str.lower)


@pytest.mark.parametrize('name', NAMES)
def test_a_loss_is_short(name):
    assert len(code_lines(ROOM / f'{name}.py')) < 65
