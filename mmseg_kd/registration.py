"""All that importing the package stands for: modules register their classes, and MMEngine gets this package's readers.

:mod:`mmseg_kd.deferred` imports this module.
"""

from .io import mmengine_files

mmengine_files.install()

from . import adapters, datasets, distillers, engine, evaluation, labeling, losses, masks, models, registry  # noqa: E402

__all__ = [
    'adapters',
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
