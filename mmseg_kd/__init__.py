"""Knowledge distillation for MMSegmentation: importing this package fills MMSegmentation's registries.

They are filled when something is built, see :mod:`mmseg_kd.deferred`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import deferred, stack
from .version import __version__

if TYPE_CHECKING:
    from . import adapters, datasets, distillers, engine, evaluation, labeling, losses, masks, models, registry
    from .distillers import (
        CrossPseudoSupervision,
        Distiller,
        LabelingDistiller,
        MeanTeacher,
        SemiSupervisedDistiller,
        SoftLabelDistiller,
    )
    from .io.configs import config_file

__all__ = [
    'CrossPseudoSupervision',
    'Distiller',
    'LabelingDistiller',
    'MeanTeacher',
    'SemiSupervisedDistiller',
    'SoftLabelDistiller',
    '__version__',
    'adapters',
    'config_file',
    'datasets',
    'distillers',
    'engine',
    'evaluation',
    'labeling',
    'losses',
    'masks',
    'models',
    'registry',
]

stack.prepare()
deferred.defer()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    if name == 'config_file':
        return import_module('.io.configs', __name__).config_file
    deferred.complete()
    return globals()[name] if name in globals() else getattr(import_module('.distillers', __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
