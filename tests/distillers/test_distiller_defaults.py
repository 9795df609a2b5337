"""The defaults of distillers and their parts, on which configs rely: a change must be meant."""

import importlib
import inspect
import pkgutil

import pytest

from mmseg_kd import distillers

MODULES = [
    importlib.import_module(f'{distillers.__name__}.{m.name}') for m in pkgutil.iter_modules(distillers.__path__)
]
CLASSES = [
    cls
    for module in MODULES
    for name, cls in vars(module).items()
    if inspect.isclass(cls) and cls.__module__ == module.__name__ and not name.startswith('_')
]
SEMI_SUPERVISED = dict(terms=None, unlabeled_terms=None, mix=None, data_preprocessor=None, init_cfg=None)
DEFAULTS = {
    'CachedTeacher': dict(live=None, key='model.teacher', cache_key='', opened=None),
    'CompiledPass': dict(key='model.teacher.compile', compiler=None),
    'CosineDecayWeight': dict(begin=0, final=0.0),
    'CrossPseudoSupervision': SEMI_SUPERVISED,
    'CutMix': dict(boxes=3, area=(0.25, 0.5)),
    'FrozenTeacher': dict(
        config=None,
        model=None,
        checkpoint=None,
        scale=1.0,
        pixels='student',
        dtype=None,
        memory_format='contiguous_format',
        class_map=None,
        classes=None,
        fold_batch_norm=False,
        compile=False,
        cuda_graphs=False,
        own_stream=False,
        data_preprocessor=None,
    ),
    'GradientShare': dict(interval=50, limits=(1e-8, 1e8)),
    'LabelingDistiller': dict(labels_from='logits', data_preprocessor=None, init_cfg=None),
    'MeanTeacher': SEMI_SUPERVISED,
    'PhaseWeight': dict(begin=0.0, rise=0.0, fall=0.0, end=1.0),
    'SemiSupervisedDistiller': SEMI_SUPERVISED,
    'SideStream': dict(cuda=None),
    'SoftLabelDistiller': dict(data_preprocessor=None, init_cfg=None),
    'Taps': dict(inputs=None, stop_early=False),
    'Term': dict(weight=1.0, adapter=None, group='model.terms'),
    'WarmupWeight': dict(begin=0),
}


@pytest.mark.parametrize('cls', CLASSES, ids=lambda cls: cls.__name__)
def test_the_defaults_are_those_of_the_table(cls):
    try:
        parameters = inspect.signature(cls).parameters
    except ValueError:  # a tuple of the standard library
        parameters = {}
    found = {name: each.default for name, each in parameters.items() if each.default is not each.empty}
    assert found == DEFAULTS.get(cls.__name__, {})


def test_the_table_names_classes():
    assert DEFAULTS.keys() <= {cls.__name__ for cls in CLASSES}
