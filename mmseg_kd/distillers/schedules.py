"""Weights that change during training."""

import math

from mmseg.registry import TASK_UTILS


@TASK_UTILS.register_module()
class WarmupWeight:
    """Grow linearly from 0 to ``weight``.

    Args:
        weight: the value after the warm-up.
        iters: length of the warm-up, in iterations.
        begin: first iteration of the warm-up; the weight is 0 before it.
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
        weight: the value up to ``begin``.
        iters: length of the decay, in iterations.
        begin: first iteration of the decay.
        final: the value after it.
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
        weight: the value before the cut-off.
        end: the first iteration without the term.
    """

    def __init__(self, weight: float, end: int) -> None:
        self.weight, self.end = weight, end

    def __call__(self, iteration: int) -> float:
        return self.weight if iteration < self.end else 0.0


@TASK_UTILS.register_module()
class DelayedWeight:
    """0 until an iteration, and ``weight`` from then on.

    Args:
        weight: the value from ``begin`` on.
        begin: the first iteration with the term.
    """

    def __init__(self, weight: float, begin: int) -> None:
        self.weight, self.begin = weight, begin

    def __call__(self, iteration: int) -> float:
        return self.weight if iteration >= self.begin else 0.0
