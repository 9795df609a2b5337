"""Checks of a config before training: settings that are valid alone but do not fit together."""

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models import SegDataPreProcessor
from mmseg.registry import DATA_SAMPLERS, MODELS

from ...io.configs import segmentor_config
from ..metric_names import metric_names
from .loader_checks import is_endless
from .metric_checks import check_metrics
from .problems import Problems
from .schedule_checks import check_schedules
from .term_checks import check_terms
from .training_loop import Loop, registered_class, training_loop
from .type_checks import type_mistakes


def check_config(config: Config) -> Problems:
    """Check terms, samplers, padding, validation, names of metrics, checkpoints and schedules.

    Args:
        config: Config of a training, with or without distillation.
    """
    init_default_scope(config.get('default_scope') or 'mmseg')
    problems = Problems(refusals=list(dict.fromkeys(type_mistakes(config))))
    if problems.refusals:  # the checks below need settings of the right kinds
        return problems
    loop = training_loop(config)
    problems.add(check_terms(config, loop))
    _check_samplers(problems, config, loop)
    _check_padding(problems, config)
    validated = _check_validation(problems, config, loop)
    problems.add(check_metrics(config, metric_names(config) if validated else None))
    if loop is not None:
        _check_checkpoints(problems, config, loop)
        problems.add(check_schedules(config.get('param_scheduler'), loop))
    return problems


def _check_padding(problems: Problems, config: Config) -> None:
    """Whether MMSegmentation's preprocessor can pad training images to one size."""
    if config.get('model') is None:
        return
    preprocessor = segmentor_config(config).get('data_preprocessor') or {}
    kind = registered_class(MODELS, preprocessor.get('type'))
    if kind is None or not issubclass(kind, SegDataPreProcessor):
        return
    given = [key for key in ('size', 'size_divisor') if preprocessor.get(key) is not None]
    if len(given) != 1:
        problems.refuse(
            'data_preprocessor must have either size or size_divisor to train, but has '
            + (
                'both; set one of them to None'
                if given
                else 'neither; set size to the size of the crops, or size_divisor=1'
            )
        )


def _check_samplers(problems: Problems, config: Config, loop: Loop | None) -> None:
    for key, by_pass in (('train_dataloader', loop is not None and loop.by_epoch), ('val_dataloader', True)):
        loader = config.get(key)
        sampler = loader.get('sampler') if isinstance(loader, dict) else None
        if not isinstance(sampler, dict):
            continue
        kind = registered_class(DATA_SAMPLERS, sampler.get('type'))
        if by_pass and kind is not None and is_endless(kind):
            where = f'an epoch ({loop.length})' if key == 'train_dataloader' and loop else 'a validation'
            other = ' or train by iterations (IterBasedTrainLoop)' if key == 'train_dataloader' else ''
            problems.refuse(
                f'{key}.sampler is {kind.__name__}, which never ends, so {where} would never end; set '
                f"{key}.sampler.type='DefaultSampler'{',' if other else ''}{other}"
            )
        if key == 'train_dataloader' and sampler.get('shuffle') is False:
            problems.warn(
                'train_dataloader.sampler.shuffle is False, so every epoch has the images in the same order; set '
                'it to True'
            )


def _check_validation(problems: Problems, config: Config, loop: Loop | None) -> bool:
    """Whether anything is validated."""
    parts = ('val_dataloader', 'val_cfg', 'val_evaluator')
    missing = [part for part in parts if config.get(part) is None]
    if len(missing) == len(parts):
        return False
    if missing:
        problems.refuse(
            f'{", ".join(parts)} must be set together, or all be None, but {" and ".join(missing)} '
            f'{"is" if len(missing) == 1 else "are"} not set'
        )
        return False
    if loop is None:
        return True
    begin = loop.config.get('val_begin', 1)
    if begin > loop.total:
        problems.warn(f'{loop.key}.val_begin is {begin}, but {loop.length}: nothing is ever validated')
        return False
    interval = loop.config.get('val_interval', 1 if loop.by_epoch else 1000)
    if interval > loop.total:
        problems.warn(f'{loop.key}.val_interval is {interval}, but {loop.length}: nothing is validated before the end')
    logger = (config.get('default_hooks') or {}).get('logger') or {}
    if not loop.by_epoch and logger.get('log_metric_by_epoch', True):
        problems.warn(
            'default_hooks.logger.log_metric_by_epoch is True, but training counts iterations: all validations '
            'would be logged as step 0; set it to False'
        )
    return True


def _check_checkpoints(problems: Problems, config: Config, loop: Loop) -> None:
    hooks = config.get('default_hooks') or {}
    hook = hooks.get('checkpoint', dict(interval=1))
    labels = loop.key != 'train_cfg'  # the last checkpoint of each of these trainings labels images
    if not isinstance(hook, dict):
        if labels:
            problems.refuse(
                'default_hooks.checkpoint is None, but the last checkpoint of each training labels images; set it'
            )
        return
    by_epoch, interval = hook.get('by_epoch', True), hook.get('interval', -1)
    if by_epoch and not loop.by_epoch:
        problems.warn(
            'default_hooks.checkpoint.by_epoch is True, but training counts iterations and is one epoch: a run '
            'that is killed leaves no checkpoint; set it to False'
        )
    elif by_epoch == loop.by_epoch and not hook.get('save_last', True) and not 0 < interval <= loop.total:
        tell = problems.refuse if labels else problems.warn
        tell(
            f'default_hooks.checkpoint saves nothing: interval is {interval}, {loop.length}, and save_last is '
            'False; set save_last=True'
        )
