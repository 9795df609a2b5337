"""Weights that change during training."""

import math
from typing import Any

from mmseg.registry import TASK_UTILS


@TASK_UTILS.register_module()
class WarmupWeight:
    """Grow linearly from 0 to ``weight``.

    Args:
        weight: The value after the warm-up.
        iters: The length of the warm-up, in iterations.
        begin: The first iteration of the warm-up; the weight is 0 before it.

    Example:
        >>> from mmseg_kd.distillers import WarmupWeight
        >>> schedule = WarmupWeight(weight=2.0, iters=100)
        >>> [schedule(iteration) for iteration in (0, 50, 100, 200)]
        [0.0, 1.0, 2.0, 2.0]
    """

    def __init__(self, weight: float, iters: int, begin: int = 0) -> None:
        if iters <= 0:
            raise ValueError(f'WarmupWeight: iters must be > 0, but is {iters}')
        self.weight, self.iters, self.begin = weight, iters, begin

    def __call__(self, iteration: int) -> float:
        return self.weight * min(max((iteration - self.begin) / self.iters, 0.0), 1.0)


@TASK_UTILS.register_module()
class CosineDecayWeight:
    """Fall from ``weight`` to ``final`` along half a cosine.

    Args:
        weight: The value up to ``begin``.
        iters: The length of the decay, in iterations.
        begin: The first iteration of the decay.
        final: The value after the decay.

    Example:
        >>> from mmseg_kd.distillers import CosineDecayWeight
        >>> schedule = CosineDecayWeight(weight=2.0, iters=100)
        >>> [round(schedule(iteration), 4) for iteration in (0, 50, 100, 200)]
        [2.0, 1.0, 0.0, 0.0]
    """

    def __init__(self, weight: float, iters: int, begin: int = 0, final: float = 0.0) -> None:
        if iters <= 0:
            raise ValueError(f'CosineDecayWeight: iters must be > 0, but is {iters}')
        self.weight, self.iters, self.begin, self.final = weight, iters, begin, final

    def __call__(self, iteration: int) -> float:
        progress = min(max((iteration - self.begin) / self.iters, 0.0), 1.0)
        return self.final + (self.weight - self.final) * (1 + math.cos(math.pi * progress)) / 2


@TASK_UTILS.register_module()
class CutoffWeight:
    """Hold ``weight`` until an iteration, and 0 from then on.

    Args:
        weight: The value before the cut-off.
        end: The first iteration without the term.

    Example:
        >>> from mmseg_kd.distillers import CutoffWeight
        >>> schedule = CutoffWeight(weight=2.0, end=100)
        >>> [schedule(iteration) for iteration in (99, 100)]
        [2.0, 0.0]
    """

    def __init__(self, weight: float, end: int) -> None:
        self.weight, self.end = weight, end

    def __call__(self, iteration: int) -> float:
        return self.weight if iteration < self.end else 0.0


@TASK_UTILS.register_module()
class DelayedWeight:
    """0 until an iteration, and ``weight`` from then on.

    Args:
        weight: The value from ``begin`` on.
        begin: The first iteration with the term.

    Example:
        >>> from mmseg_kd.distillers import DelayedWeight
        >>> schedule = DelayedWeight(weight=2.0, begin=100)
        >>> [schedule(iteration) for iteration in (99, 100)]
        [0.0, 2.0]
    """

    def __init__(self, weight: float, begin: int) -> None:
        self.weight, self.begin = weight, begin

    def __call__(self, iteration: int) -> float:
        return self.weight if iteration >= self.begin else 0.0


@TASK_UTILS.register_module()
class PhaseWeight:
    """``weight`` in a phase of training, and 0 outside of it; all moments are fractions of training.

    The schedule fits trainings of any length. It suits a term that waits until the student knows the frequent classes,
    or that helps at the beginning and holds the student back at the end.

    Args:
        weight: The value in the phase.
        begin: The fraction of training before the phase.
        rise: The fraction of training in which the weight rises linearly from 0, after ``begin``.
        fall: The fraction of training in which the weight falls linearly to 0, before ``end``.
        end: The fraction of training after which the weight is 0.

    Raises:
        ValueError: if the parts do not fit between 0 and 1.

    Example:
        >>> from mmseg_kd.distillers import PhaseWeight
        >>> schedule = PhaseWeight(weight=2.0, begin=0.1, fall=0.4)
        >>> [round(schedule(progress), 4) for progress in (0.0, 0.1, 0.6, 0.8, 1.0)]
        [0.0, 2.0, 2.0, 1.0, 0.0]
    """

    by_progress = True

    def __init__(
        self, weight: float, begin: float = 0.0, rise: float = 0.0, fall: float = 0.0, end: float = 1.0
    ) -> None:
        if not 0 <= begin < end <= 1:
            raise ValueError(
                'PhaseWeight: begin and end must be fractions of training with 0 <= begin < end <= 1, but are '
                f'{begin} and {end}; write 0.1 for a tenth'
            )
        if rise < 0 or fall < 0 or begin + rise > end - fall + 1e-9:
            raise ValueError(
                f'PhaseWeight: rise and fall must be >= 0 and fit between begin and end, but rise is {rise} and fall '
                f'{fall} between {begin} and {end}; shorten them'
            )
        self.weight, self.begin, self.rise, self.fall, self.end = weight, begin, rise, fall, end

    def __call__(self, progress: float) -> float:
        if not self.begin <= progress <= self.end:
            return 0.0
        risen = (progress - self.begin) / self.rise if self.rise else 1.0
        left = (self.end - progress) / self.fall if self.fall else 1.0
        return self.weight * min(risen, left, 1.0)


def level_at(schedule: Any, iteration: int, total: int) -> float:
    """The value of a schedule in an iteration.

    Args:
        schedule: A function of the iteration, or of the progress from 0 to 1 if it has ``by_progress``.
        iteration: The iteration, from 0.
        total: The number of iterations of the training.

    Example:
        >>> level_at(PhaseWeight(2.0, rise=0.5), 25, 100), level_at(DelayedWeight(2.0, begin=50), 25, 100)
        (1.0, 0.0)
    """
    return schedule(iteration / max(total, 1) if getattr(schedule, 'by_progress', False) else iteration)
