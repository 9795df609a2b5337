"""Values of a config against the annotations of constructors."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from mmengine.config import ConfigDict
from mmseg.registry import MODELS, TASK_UTILS
from torch import nn

from mmseg_kd.io.arguments import arguments, build, call_mistakes, misfit, mistakes, nearest, told
from mmseg_kd.io.errors import ConfigError
from mmseg_kd.losses import DistillLoss, PixelWiseKDLoss

NAN, INF = float('nan'), float('inf')
FITTING = [
    (4, float),
    (4.5, float),
    (np.float32(1), float),
    (np.int64(1), int),
    (3, int),
    (True, bool),
    (np.bool_(True), bool),
    ('a', str),
    ('a', Path),
    (None, float | None),
    (None, None),
    (ConfigDict(a=1), dict),
    (ConfigDict(a=ConfigDict()), dict[str, dict]),
    ([1, 2], tuple[float, float]),
    ((1, 2), list[int]),
    ([], list[int]),
    ([1, 2.5], Sequence[float]),
    ((1, 2, 3), tuple[int, ...]),
    ('mean', Literal['mean', 'sum']),
    (print, Callable),
    (dict(type='x'), Callable),
    (object(), Any),
    (object(), nn.Module),
]
MISFITS = [
    ('4', float, 'a number'),
    (None, float, 'a number'),
    (NAN, float, 'a number'),
    (INF, float, 'a number'),
    (True, float, 'a number'),
    ([1], float, 'a number'),
    (1.5, int, 'a whole number'),
    (True, int, 'a whole number'),
    (1, bool, 'True or False'),
    ('True', bool, 'True or False'),
    (1, str, 'a text'),
    (['a'], str, 'a text'),
    ('abc', list[str], 'a list of texts'),
    (5, Sequence[float], 'a list of numbers'),
    ([1, 2, 3], tuple[float, float], 'a list of 2 numbers'),
    ([1], dict, 'a dict'),
    ('max', Literal['mean', 'sum'], "'mean' or 'sum'"),
    ('x', int | None, 'a whole number or None'),
    (5, Callable, 'a function'),
]


@pytest.mark.parametrize('value, annotation', FITTING)
def test_values_that_fit(value, annotation):
    assert misfit(value, annotation, 'key') is None


@pytest.mark.parametrize('value, annotation, phrase', MISFITS)
def test_values_that_do_not_fit(value, annotation, phrase):
    assert misfit(value, annotation, 'key').startswith(f'key must be {phrase}, but is {told(value)}; ')


def test_the_place_within_a_value_is_told():
    assert misfit([1, 'b'], list[int], 'key').startswith("key.1 must be a whole number, but is 'b'")
    assert misfit(dict(a=dict(), b=1), dict[str, dict], 'key').startswith('key.b must be a dict, but is 1')
    assert misfit([1, None], float | list[float], 'key').startswith('key.1 must be a number, but is None')


def test_the_advice_fits_the_value():
    assert misfit('4', float, 'key').endswith('write 4 without quotes')
    assert misfit(4, list[int], 'key').endswith('write [4]')
    assert misfit(None, float, 'key', 1.0).endswith('remove it for the default 1.0')
    assert misfit(INF, float, 'key', INF) is None and misfit(-INF, float, 'key', INF) is None


def test_annotations_of_other_libraries_are_read_generously():
    assert misfit(4.0, int, 'key', strict=False) is None
    assert misfit('4', int, 'key', strict=False) is not None


def test_arguments_that_base_classes_take_are_known():
    class Base(nn.Module):
        def __init__(self, width: int = 1):
            super().__init__()

    class Child(Base):
        def __init__(self, depth, **kwargs):
            super().__init__(**kwargs)

    class Open(Base):
        def __init__(self, **kwargs):
            super().__init__()

    assert list(arguments(Child).known) == ['depth', 'width'] and not arguments(Child).open
    assert arguments(Open).open
    assert list(call_mistakes(Child, dict(depth='any', widht=3), 'child')) == [
        'child.widht: Child has no argument widht; did you mean width?'
    ]
    assert list(call_mistakes(Child, dict(width='2'), 'child')) == [
        "child.width must be a whole number, but is '2' (a str); write 2 without quotes",
        'child needs depth; add child.depth, which has no default',
    ]


def test_building_names_key_value_and_remedy():
    assert isinstance(build(MODELS, dict(type='PixelWiseKDLoss', temperature=2), 'loss'), PixelWiseKDLoss)
    cases = {
        'loss must be a dict with a type, but is 3; write dict(type=..., ...)': 3,
        'loss needs a type; write loss=dict(type=..., ...)': dict(temperature=4),
        "loss.type: 'PixelwiseKDLoss' is not registered; did you mean PixelWiseKDLoss?": dict(type='PixelwiseKDLoss'),
        'loss.temperature must be > 0, but is -1': dict(type='PixelWiseKDLoss', temperature=-1),
        'loss must be a loss, but CrossEntropyLoss is none; choose another type': dict(type='CrossEntropyLoss'),
        'loss.loss needs a type; write loss=dict(type=..., ...)': dict(type='OnLabeled', loss=dict()),
    }
    for message, config in cases.items():
        with pytest.raises(ConfigError) as error:
            build(MODELS, config, 'loss', DistillLoss, 'a loss')
        assert str(error.value) == message


def test_each_mistake_has_its_line():
    config = dict(type='WarmupWeight', weight='1', iter=10)
    assert list(mistakes(TASK_UTILS, config, 'weight', given={})) == [
        "weight.weight must be a number, but is '1' (a str); write 1 without quotes",
        'weight.iter: WarmupWeight has no argument iter; did you mean iters?',
        'weight needs iters; add weight.iters, which has no default',
    ]


def test_configs_that_inherit_from_mmseg_are_checked_too():
    (line,) = mistakes(MODELS, dict(type='CWDLoss', temprature=1, _scope_='mmseg'), 'loss')
    assert 'did you mean temperature?' in line
    assert not list(mistakes(MODELS, dict(type='CWDLoss', temprature=1, _scope_='mmdet'), 'loss'))


def test_names_that_are_far_off_have_no_nearest():
    assert nearest('HintLos', ['HintLoss', 'CWDLoss']) == 'did you mean HintLoss?'
    assert nearest('zzz', ['HintLoss']) == ''
