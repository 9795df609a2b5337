"""Checks of the terms of a distiller against the student's own losses, the optimizer and the length of training."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmseg.registry import MODELS, TASK_UTILS

from ...distillers.gradient_share import GradientShare, check_shares
from ...distillers.schedules import level_at
from ...io.arguments import mistakes, registered
from ...losses import AdversarialLoss, PseudoLabelLoss
from .problems import Problems
from .training_loop import Loop

POINTS = 100  # iterations at which a schedule is evaluated


def check_terms(config: Config, loop: Loop | None) -> Problems:
    """Whether each auxiliary module has an optimizer, each schedule of a weight begins before training ends, and
    pseudo-labels have the weights of the student's classes.

    Args:
        config: Config of a training.
        loop: Its loop; None if it is not known.
    """
    problems = Problems()
    shares: dict[str, list[float]] = {}
    optimizer = config.get('optim_wrapper') or {}
    plain = optimizer.get('constructor') in (None, 'DefaultOptimWrapperConstructor') and 'optimizer' in optimizer
    weighted = place_of_class_weights(config)
    for key, term in terms_by_key(config):
        loss = term.get('loss')
        kind = registered(MODELS, loss.get('type')) if isinstance(loss, dict) else None
        if plain and isinstance(kind, type) and issubclass(kind, AdversarialLoss):
            problems.refuse(
                f'{key}.loss ({kind.__name__}) has an auxiliary module, but optim_wrapper has no optimizer for it; set '
                "optim_wrapper.constructor='DistillOptimWrapperConstructor' and "
                "optim_wrapper.critic=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99)))"
            )
        if weighted and kind is PseudoLabelLoss and isinstance(loss, dict) and loss.get('class_weight') is None:
            problems.warn(
                f'{key}.loss (PseudoLabelLoss) has no class_weight, but {weighted} is set: frequent classes may drown '
                f'the rare ones on images without labels; set {key}.loss.class_weight to the same values'
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


def place_of_class_weights(config: Config) -> str | None:
    """The key of the first loss of a student that weighs classes, where it has a frozen teacher.

    Networks that teach each other from the beginning did not gain from weights (`docs/benchmarks/camvid.md`).

    Args:
        config: Config of a training.

    Example:
        >>> head = dict(loss_decode=[dict(type='DiceLoss'), dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0])])
        >>> place_of_class_weights(Config(dict(model=dict(student=dict(decode_head=head), teacher=dict(cache='here')))))
        'model.student.decode_head.loss_decode[1].class_weight'
    """
    model = config.get('model') or {}
    student = model.get('student') if isinstance(model, dict) and 'teacher' in model else None
    head = student.get('decode_head') if isinstance(student, dict) else None
    return next(_class_weights(head, 'model.student.decode_head'), None)


def _class_weights(node: Any, key: str) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get('class_weight') is not None:
            yield f'{key}.class_weight'
        for name, value in node.items():
            yield from _class_weights(value, f'{key}.{name}')
    elif isinstance(node, (list, tuple)):
        for place, value in enumerate(node):
            yield from _class_weights(value, f'{key}[{place}]')


def _numbers(weight: dict) -> list[str]:
    return [f'{name} is {value}' for name, value in weight.items() if name not in ('type', 'weight')]
