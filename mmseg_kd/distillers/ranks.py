"""What several processes must know of each other to learn as one would from all their images."""

from collections.abc import Callable, Iterable

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


class TermDenominators:
    r"""What the terms of a step divide by in this process, and their losses for the batch of all processes.

    DDP averages the gradients of W processes. If process r averages a loss over its own :math:`n_r` pixels, images or
    classes, its value :math:`L_r` is multiplied by

    .. math:: \frac{W n_r}{\sum_k n_k}

    so that the mean over the processes is the loss of the joined batch. A process without such a pixel adds nothing,
    and does not reduce the gradient of the others. All terms of a step share one reduction, to which every process adds
    every term, active or not. A single process computes nothing.

    Example:
        >>> import torch
        >>> from mmseg_kd.distillers.ranks import TermDenominators
        >>> denominators = TermDenominators()
        >>> denominators.add(['loss_pi'], lambda: torch.tensor(12.0))
        >>> denominators.join(dict(loss_pi=torch.tensor(0.5)))  # one process
        {'loss_pi': tensor(0.5000)}
    """

    def __init__(self) -> None:
        self._names: list[list[str]] = []
        self._numbers: list[Tensor] = []

    def add(self, names: Iterable[str], denominator: Callable[[], Tensor]) -> None:
        """Note what a term divides by.

        Args:
            names: The names of the term's losses.
            denominator: A function that computes the scalar; it is called only if there are other processes.
        """
        if get_world_size() > 1:
            self._names.append(list(names))
            self._numbers.append(denominator())

    def join(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses with those of the terms weighted for the batch of all processes."""
        if not self._numbers:
            return losses
        own = torch.stack(self._numbers)
        total = own.clone()
        all_reduce(total)
        factors = torch.where(total > 0, get_world_size() * own / total, 0)
        weighted = {name: factor * losses[name] for names, factor in zip(self._names, factors) for name in names}
        return {**losses, **weighted}
