"""Weights of terms that are measured: each term gets a share of the gradient."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from mmseg.registry import TASK_UTILS
from torch import Tensor, nn

from ..io.arguments import build
from ..losses import AdversarialLoss
from ..losses.ops import tensor_sum
from .gradient_norm import gradient_norm

if TYPE_CHECKING:
    from .term import Term

RATE = 0.3  # weight of a new measurement in the moving average
STEP = 2.0  # factor by which one measurement may change a smoothed norm
LEAP = 16.0  # factor by which a measurement may raise that of a critic
AGAIN = 3  # the number of measurements from which a sudden change goes on: the next one follows after 8 iterations
SHRINK = 2.0**12  # by how much losses are scaled down after an overflow in half precision
ATTEMPTS = 3


@TASK_UTILS.register_module()
class GradientShare:
    r"""A weight that gives a term a share of the gradient, whatever the scale of its loss.

    The share of term k is

    .. math:: s_k = \frac{w_k g_k}{g_0 + \sum_j w_j g_j}

    with :math:`g_0` the norm of the gradient of the student's own losses together, and :math:`g_j` that of each term's
    loss without its weight, both with respect to the trained parameters of the student. Terms with a number or another
    schedule keep their weights. The others get

    .. math:: w_k = s_k \frac{T}{g_k}, \qquad T = \frac{g_0 + \sum_{j\ \text{fixed}} w_j g_j}{1 - \sum_i s_i}

    Norms are measured in the 1st, 2nd, 4th, 8th, 16th, ... iteration of a term, and then at regular intervals. Their
    logarithms are smoothed by a moving average with the weight 0.3 for a new measurement; a measurement changes a
    smoothed norm at most by a factor of 2. Norms that are 0 or not finite are skipped. Of an adversarial loss, only the
    student's side counts, and its growth does not wait for the average, because a critic learns fast: a norm of more
    than twice the average replaces it, by a factor of 16 at most, and the next measurement follows after 8 iterations.
    Several processes use the mean of their norms. The norms are saved with the model, so a resumed training goes on
    exactly.

    Args:
        share: The share, above 0 and below 1, or the config of a schedule whose ``weight`` is the share, such as
            ``dict(type='PhaseWeight', weight=0.3, end=0.8)``.
        interval: The number of iterations between two measurements, for each measured loss, which needs one more
            backward pass: with k terms, ``interval * (1 + k)`` iterations lie between two measurements.
        limits: The smallest and the largest weight.

    Raises:
        ConfigError: if the schedule of the share has mistakes.
        ValueError: if share, interval or limits are out of range.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.distillers import Distiller
        >>> from mmseg_kd.testing.toys import toy_batch, toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> network = toy_segmentor(auxiliary=False)
        >>> term = dict(student='logits', teacher='logits', loss=dict(type='CWDLoss'))
        >>> model = Distiller(network, dict(model=network), dict(
        ...     loss_cwd=dict(term, weight=dict(type='GradientShare', share=0.3))))
        >>> model.move_terms(iteration=0, total=100)  # TermWeightHook does this
        >>> losses = model.loss(**model.data_preprocessor(toy_batch(), training=True))
        >>> round(model.gradient_shares.measured['loss_cwd'], 3)
        0.3
    """

    def __init__(self, share: float | dict, interval: int = 50, limits: tuple[float, float] = (1e-8, 1e8)) -> None:
        self.share: Any = build(TASK_UTILS, share, 'share') if isinstance(share, dict) else share
        largest = share.get('weight', 0.5) if isinstance(share, dict) else share
        if not 0 < largest < 1:
            raise ValueError(f'GradientShare: share must be above 0 and below 1, but is {largest}; 0.3 is 30 %')
        if isinstance(self.share, GradientShare):
            raise ValueError('GradientShare: share must be a number or another schedule, but is a GradientShare')
        if interval < 1:
            raise ValueError(f'GradientShare: interval must be >= 1, but is {interval}')
        if not 0 <= limits[0] < limits[1]:
            raise ValueError(f'GradientShare: limits must be two rising numbers >= 0, but are {limits}')
        self.interval, self.limits = interval, tuple(limits)

    @property
    def by_progress(self) -> bool:
        return getattr(self.share, 'by_progress', False)

    @property
    def constant(self) -> bool:
        """Whether the share never changes."""
        return not callable(self.share)

    def __call__(self, moment: float) -> float:
        return self.share if self.constant else self.share(moment)


class SmoothedNorm(nn.Module):
    """The moving average of the logarithm of a norm, saved with the model.

    Example:
        >>> norm = SmoothedNorm()
        >>> norm.update(2.0)
        >>> norm.update(8.0)
        >>> round(norm.value, 4), norm.tries
        (4.0, 2)
        >>> norm.update(float('nan'))
        >>> round(norm.value, 4), norm.tries
        (4.0, 3)
    """

    state: Tensor

    def __init__(self) -> None:
        super().__init__()
        # The logarithm, the number of measurements that count, and that of all measurements.
        self.register_buffer('state', torch.zeros(3))
        # A copy that costs no synchronization with the device.
        self._numbers = [0.0, 0.0, 0.0]

    @property
    def value(self) -> float | None:
        """The smoothed norm; None before the first measurement that counts."""
        return math.exp(self._numbers[0]) if self._numbers[1] else None

    @property
    def tries(self) -> int:
        return int(self._numbers[2])

    def update(self, norm: float) -> None:
        """Take in a measurement; one that is 0 or not finite is only counted."""
        logarithm, valid, tries = self._numbers
        if math.isfinite(norm) and norm > 0:
            change = math.log(norm) - logarithm
            if valid and self._is_sudden(change):
                change, tries = min(change, math.log(LEAP)), min(tries, AGAIN)
            elif valid:
                change = max(-math.log(STEP), min(math.log(STEP), change * max(1 / (valid + 1), RATE)))
            logarithm += change
            valid += 1
        self._set([logarithm, valid, tries + 1])

    def _is_sudden(self, change: float) -> bool:
        """Whether a change of the logarithm counts at once."""
        return False

    def reset(self) -> None:
        """Forget all measurements."""
        self._set([0.0, 0.0, 0.0])

    @torch.no_grad()
    def _set(self, numbers: list[float]) -> None:
        exact = torch.tensor(numbers)
        self.state.copy_(exact)
        self._numbers = exact.tolist()  # as a checkpoint stores them

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._numbers = self.state.tolist()


class CriticNorm(SmoothedNorm):
    """A :class:`SmoothedNorm` that follows fast growth at once, so that a critic which learns fast cannot drown the
    labels before the average knows.

    Example:
        >>> norm = CriticNorm()
        >>> norm.update(2.0)
        >>> norm.update(10.0)
        >>> round(norm.value, 4)
        10.0
    """

    def _is_sudden(self, change: float) -> bool:
        return change > math.log(STEP)


class GradientShares(nn.Module):
    """Measures the gradients of a distiller's losses, and sets the weights of its terms with :class:`GradientShare`.

    Args:
        terms: The terms by name.

    Attributes:
        measured: The share of each term in the latest measurement, by name.
        measured_at: The iteration of the latest measurement.
    """

    last: Tensor

    def __init__(self, terms: dict[str, Term]) -> None:
        super().__init__()
        self.own = SmoothedNorm()
        self.norms = nn.ModuleDict(
            {
                name: CriticNorm() if isinstance(term.loss, AdversarialLoss) else SmoothedNorm()
                for name, term in terms.items()
            }
        )
        self.register_buffer('last', torch.tensor(-1))
        self.measured: dict[str, float] = {}
        self.measured_at = -1
        self.iteration: int | None = None
        self._warned = False
        _keep_buffers_of_compiled_graphs()

    def reset(self) -> None:
        """Forget all measurements, such as those of an earlier training whose weights were loaded."""
        norm: Any
        for norm in (self.own, *self.norms.values()):
            norm.reset()
        self._note(-1)

    def weigh(
        self,
        losses: dict[str, Any],
        terms: dict[str, Term],
        networks: Sequence[nn.Module],
        others: Iterable[nn.Parameter] = (),
        prefixes: Sequence[str] = ('',),
    ) -> dict[str, Any]:
        """The losses with all terms weighted.

        Args:
            losses: The losses of a step by name, where a term with :class:`GradientShare` is not weighted yet.
            terms: The terms by name.
            networks: The networks that are trained.
            others: Further parameters that are trained.
            prefixes: The prefixes under which a term's name may occur.
        """
        shared = [term for term in terms.values() if term.by_share and term.active]
        if torch.is_grad_enabled() and self._due(shared, terms):
            keys = {name: [p + name for p in prefixes if p + name in losses] for name in terms}
            self._measure(losses, terms, keys, networks, others)
        self._set_weights(terms)
        factors = {prefix + name: term.weight for name, term in terms.items() if term.by_share for prefix in prefixes}
        return {name: value * factors[name] if name in factors else value for name, value in losses.items()}

    def _due(self, shared: list[Term], terms: dict[str, Term]) -> bool:
        if not shared:
            return False
        tries = min(self._norm(term).tries for term in shared)
        if self.iteration is None:  # no training: a first look, as the doctor's
            return not tries
        if not tries:
            return True
        spacing = min(term.schedule.interval for term in shared) * (1 + sum(term.active for term in terms.values()))
        return self.iteration - self.measured_at >= min(2 ** (tries - 1), spacing)

    def _measure(
        self,
        losses: dict[str, Any],
        terms: dict[str, Term],
        keys: dict[str, list[str]],
        networks: Sequence[nn.Module],
        others: Iterable[nn.Parameter],
    ) -> None:
        of_terms = {key for names in keys.values() for key in names} | {
            f'{key}_critic' for key in sum(keys.values(), [])
        }
        own = [value for name, value in losses.items() if 'loss' in name and name not in of_terms]
        values = [tensor_sum(map(_scalar, own))] if own else []
        active = {name: term for name, term in terms.items() if term.active and keys[name]}
        values += [tensor_sum(_scalar(losses[key]) for key in keys[name]) for name in active]
        norms = _norms(values, [p for network in networks for p in network.parameters()], list(others))
        own_norm = norms.pop(0) if own else 0.0
        self.own.update(own_norm)
        parts = {}
        for (name, term), norm in zip(active.items(), norms):
            # The loss of a fixed term is weighted already.
            self._norm(term).update(norm if term.by_share else norm / term.weight)
            parts[name] = norm
        self._set_weights(terms)
        parts = {name: norm * (terms[name].weight if terms[name].by_share else 1.0) for name, norm in parts.items()}
        total = own_norm + math.fsum(parts.values())
        self.measured = {name: part / total for name, part in parts.items()} if 0 < total < math.inf else {}
        self._note(-1 if self.iteration is None else self.iteration)

    def _set_weights(self, terms: dict[str, Term]) -> None:
        """Compute the weights from the smoothed norms and the shares of this iteration."""
        base, shared = self.own.value or 0.0, []
        for term in terms.values():
            norm = self._norm(term).value
            if term.by_share:
                term.weight = 0.0
                shared += [(term, norm)] if term.active and norm is not None else []
            elif term.active and norm is not None:
                base += term.weight * norm
        if not shared:
            return
        if base == 0 and not self._warned:
            self._warned = True
            print_log(
                f'{shared[0][0].key}.weight: a share of the gradient needs a loss with a fixed weight beside it, but '
                'neither the labels nor another term give a gradient yet; until then the term has the weight 0',
                'current',
                logging.WARNING,
            )
        total = base / (1 - check_shares({term.key: term.share for term, _ in shared}))
        for term, norm in shared:
            low, high = term.schedule.limits
            term.weight = min(max(term.share * total / norm, low), high) if base else 0.0

    def _norm(self, term: Term) -> SmoothedNorm:
        return self.norms[term.name]  # type: ignore[return-value]

    def _note(self, iteration: int) -> None:
        self.last.fill_(iteration)
        self.measured_at = iteration

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.measured_at = int(self.last)


def check_shares(shares: dict[str, float]) -> float:
    """The sum of the shares of terms.

    Args:
        shares: The shares by the keys of their terms.

    Raises:
        ValueError: if the sum is not below 1, so that nothing would be left for other losses.

    Example:
        >>> check_shares({'model.terms.loss_a': 0.25, 'model.terms.loss_b': 0.5})
        0.75
    """
    total = math.fsum(shares.values())
    if total >= 1:
        raise ValueError(
            f'{" + ".join(f"{key}.weight.share" for key in shares)} must be below 1, so that a share is left for the '
            f'labels, but is {total:g}; lower them'
        )
    return total


def _norms(values: list[Tensor], parameters: list[nn.Parameter], others: list[nn.Parameter]) -> list[float]:
    """Norms of the gradients, averaged over processes."""
    norms = [math.inf] * len(values)
    for attempt in range(ATTEMPTS):
        # All processes repeat the same losses: backward passes may communicate too, such as those of SyncBN.
        places = [i for i, norm in enumerate(norms) if not math.isfinite(norm)]
        if not places:
            break
        found = [gradient_norm(values[i], parameters, others, SHRINK**attempt) for i in places]
        means = torch.stack([values[0].new_zeros((), dtype=torch.float) if norm is None else norm for norm in found])
        all_reduce(means, 'mean')
        for i, norm in zip(places, means.tolist()):
            norms[i] = norm
    return norms


def _scalar(value: Any) -> Tensor:
    """The scalar that MMEngine makes of a loss."""
    return value.mean() if isinstance(value, Tensor) else tensor_sum(item.mean() for item in value)


def _keep_buffers_of_compiled_graphs() -> None:
    """Let torch.compile build graphs whose backward pass can run more than once."""
    import torch._functorch.config as config

    if hasattr(config, 'donated_buffer'):
        config.donated_buffer = False
