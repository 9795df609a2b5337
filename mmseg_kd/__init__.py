"""Knowledge distillation for MMSegmentation: importing this package fills MMSegmentation's registries."""

from . import stack
from .version import __version__

stack.prepare()

from .io import mmengine_files  # noqa: E402

mmengine_files.install()

from . import adapters, datasets, distillers, engine, evaluation, labeling, losses, masks, models, registry  # noqa: E402
from .distillers import (  # noqa: E402
    CrossPseudoSupervision,
    Distiller,
    MeanTeacher,
    SemiSupervisedDistiller,
    SoftLabelDistiller,  # noqa: E402
)
from .io.configs import config_file  # noqa: E402

__all__ = [
    'CrossPseudoSupervision',
    'Distiller',
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
