"""Checks of the terms of a distiller against the optimizer and the length of training."""

from collections.abc import Iterator

from mmengine.config import Config
from mmseg.registry import MODELS, TASK_UTILS

from ...distillers.gradient_share import GradientShare, check_shares
from ...distillers.schedules import level_at
from ...io.arguments import mistakes, registered
from ...losses import AdversarialLoss
from .problems import Problems
from .training_loop import Loop

POINTS = 100  # iterations at which a schedule is evaluated


def check_terms(config: Config, loop: Loop | None) -> Problems:
    """Whether each auxiliary module has an optimizer, and each schedule of a weight begins before training ends.

    Args:
        config: Config of a training.
        loop: Its loop; None if it is not known.
    """
    problems = Problems()
    shares: dict[str, list[float]] = {}
    optimizer = config.get('optim_wrapper') or {}
    plain = optimizer.get('constructor') in (None, 'DefaultOptimWrapperConstructor') and 'optimizer' in optimizer
    for key, term in terms_by_key(config):
        loss = term.get('loss')
        kind = registered(MODELS, loss.get('type')) if isinstance(loss, dict) else None
        if plain and isinstance(kind, type) and issubclass(kind, AdversarialLoss):
            problems.refuse(
                f'{key}.loss ({kind.__name__}) has an auxiliary module, but optim_wrapper has no optimizer for it; set '
                "optim_wrapper.constructor='DistillOptimWrapperConstructor' and "
                "optim_wrapper.critic=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99)))"
            )
        weight = term.get('weight')
        if loop is None or loop.by_epoch or not isinstance(weight, dict) or list(mistakes(TASK_UTILS, weight, key)):
            continue
        try:
            schedule = TASK_UTILS.build(dict(weight))
            moments = [point * (loop.total - 1) // POINTS for point in range(POINTS + 1)]
            levels = [level_at(schedule, moment, loop.total) for moment in moments]
        except Exception:  # building the term says what is wrong
            continue
        if isinstance(schedule, GradientShare):
            shares[key] = levels
        inner = weight.get('share')
        place, moved = (f'{key}.weight.share', inner) if isinstance(inner, dict) else (f'{key}.weight', weight)
        values = set(levels)
        if values == {0}:
            problems.refuse(
                f'{place} ({moved["type"]}) is 0 in all of training: {", ".join(_numbers(moved))}, but '
                f'{loop.length}; let it begin earlier, or remove the term'
            )
        elif len(values) == 1 and not getattr(schedule, 'constant', False):
            problems.warn(
                f'{place} ({moved["type"]}) is {values.pop():g} in all of training: '
                f'{", ".join(_numbers(moved))}, but {loop.length}; write a number if that is meant'
            )
    for together in zip(*shares.values()):
        try:
            check_shares(dict(zip(shares, together)))
        except ValueError as error:
            problems.refuse(str(error))
            break
    return problems


def terms_by_key(config: Config) -> Iterator[tuple[str, dict]]:
    """Key and config of each term of a distiller; nothing for other models.

    Args:
        config: Config of a training.
    """
    model = config.get('model')
    for group in ('terms', 'unlabeled_terms'):
        terms = model.get(group) if isinstance(model, dict) else None
        for name, term in terms.items() if isinstance(terms, dict) else ():
            if isinstance(term, dict):
                yield f'model.{group}.{name}', term


def _numbers(weight: dict) -> list[str]:
    return [f'{name} is {value}' for name, value in weight.items() if name not in ('type', 'weight')]
