"""Weights that change during training."""

import math

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
