"""Options of a student's config, and where the config of its distillation has them."""

from typing import Any

from mmengine.config import Config

DISTILLATION = ('type', 'student', 'teacher', 'terms')  # of `model`, where it is a distiller
DATA_SET = 'train_dataloader.dataset.'
LABELED = f'{DATA_SET}datasets.0.dataset.'


def student_options(options: dict[str, Any], config: Config) -> dict[str, Any]:
    """Those options that are settings of the student's config, and not of the distillation.

    Args:
        options: Values by dotted key, as on the command line.
        config: Config of the student.

    Example:
        >>> config = Config(dict(model=dict(type='EncoderDecoder')))
        >>> student_options({'model.backbone.depth': 18, 'model.teacher.dtype': 'bfloat16'}, config)
        {'model.backbone.depth': 18}
    """
    return {key: value for key, value in options.items() if not _of_distillation(key, config)}


def distillation_options(options: dict[str, Any], config: Config, unlabeled: bool = False) -> dict[str, Any]:
    """The options for the config of a distillation, where the student is a part of the model.

    Args:
        options: Values by dotted key, as on the command line: settings of the student's config, or of the
            distillation's ``model.teacher``, ``model.terms`` and ``model.student``.
        config: Config of the student.
        unlabeled: Whether the training set is the first of two, before one of unlabeled images.

    Example:
        >>> config = Config(dict(model=dict(type='EncoderDecoder')))
        >>> distillation_options({'model.backbone.depth': 18, 'model.teacher.dtype': 'bfloat16'}, config)
        {'model.student.backbone.depth': 18, 'model.teacher.dtype': 'bfloat16'}
        >>> distillation_options({'train_dataloader.dataset.data_root': '/data'}, config, unlabeled=True)
        {'train_dataloader.dataset.datasets.0.dataset.data_root': '/data'}
    """
    moved = {}
    for key, value in options.items():
        if not _of_distillation(key, config):
            if key.startswith('model.'):
                key = f'model.student.{key.removeprefix("model.")}'
            elif unlabeled and key.startswith(DATA_SET):
                key = LABELED + key.removeprefix(DATA_SET)
        moved[key] = value
    return moved


def _of_distillation(key: str, config: Config) -> bool:
    part, *rest = key.split('.')
    if part == 'model':
        return bool(rest) and rest[0] in DISTILLATION
    if key.startswith(f'{DATA_SET}datasets.'):
        # One that joins several data sets has this key itself.
        return 'datasets' not in ((config.get('train_dataloader') or {}).get('dataset') or {})
    return False
