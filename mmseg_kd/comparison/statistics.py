"""Mean, deviation and interval of a few repetitions, and which results are as good as the best."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing.

    Args:
        mean: their mean.
        deviation: sample standard deviation (divided by n - 1); None of a single one.
        count: how many there are.
    """

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class PairedDifference:
    """How much one thing is above another, from measurements that belong together in pairs.

    Args:
        mean: of the differences.
        low: lower end of the confidence interval of the mean; None of a single pair.
        high: upper end, likewise.
        pairs: how many there are.
    """

    mean: float
    low: float | None
    high: float | None
    pairs: int


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation.

    Args:
        values: at least one, all finite.

    Raises:
        ValueError: otherwise.
    """
    values = [float(value) for value in values]
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f'a mean needs at least one value, all of them finite, but has {values}')
    mean = math.fsum(values) / len(values)
    deviation = None
    if len(values) > 1:
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return Spread(mean, deviation, len(values))


def paired_difference(
    ours: Mapping[Hashable, float], theirs: Mapping[Hashable, float], confidence: float = 0.95
) -> PairedDifference | None:
    r"""The mean of ``ours - theirs`` over the pairs, with Student's interval.

    .. math::
        \bar d \pm t_{n-1,\,(1 + c) / 2} \frac{s_d}{\sqrt n}

    with the mean :math:`\bar d` and the sample deviation :math:`s_d` of the :math:`n` differences, at confidence
    :math:`c`. Pairing by the seed takes out what the seed does to both sides.

    Args:
        ours: a measurement by what it is paired by, such as the seed.
        theirs: likewise; what only one side has is left out.
        confidence: that the interval holds the true mean, in (0, 1).

    Returns:
        PairedDifference: or None, if there is no pair.

    Raises:
        ValueError: if ``confidence`` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f'confidence must lie between 0 and 1, such as 0.95, but is {confidence:g}')
    differences = [ours[key] - theirs[key] for key in ours if key in theirs]
    if not differences:
        return None
    found = spread(differences)
    if found.deviation is None:
        return PairedDifference(found.mean, None, None, 1)
    half = student_t_quantile((1 + confidence) / 2, found.count - 1) * found.deviation / math.sqrt(found.count)
    return PairedDifference(found.mean, found.mean - half, found.mean + half, found.count)


def student_t_quantile(probability: float, degrees: int) -> float:
    r"""The value that Student's t stays below with a probability.

    The distribution function has a closed form in :math:`\theta = \arctan(t / \sqrt\nu)` for whole degrees of freedom
    :math:`\nu` (Abramowitz and Stegun, 26.7.3 and 26.7.4), which is inverted by bisection.

    Args:
        probability: in (0, 1).
        degrees: of freedom, at least 1.

    Raises:
        ValueError: if an argument is out of range.
    """
    if not 0 < probability < 1 or degrees < 1:
        raise ValueError(
            'the quantile needs a probability in (0, 1) and at least 1 degree of freedom, but has '
            f'{probability:g} and {degrees}'
        )
    if probability < 0.5:
        return -student_t_quantile(1 - probability, degrees)
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < 2 * probability - 1 else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def as_good_as_best(spreads: Sequence[Spread]) -> list[str]:
    """``'best'`` for the highest mean, ``'within'`` for those within one deviation of the best below it, else ``''``.

    The deviation is that of the best. If it is a single measurement, nothing is known to be within it. Where all means
    are the same, none stands out.

    Args:
        spreads: of what is compared.
    """
    if len({one.mean for one in spreads}) < 2:
        return [''] * len(spreads)
    best = max(spreads, key=lambda one: one.mean)
    edge = best.mean - (best.deviation or 0.0)
    return ['best' if one.mean == best.mean else 'within' if one.mean >= edge else '' for one in spreads]


def _within(angle: float, degrees: int) -> float:
    """Probability of ``|t| < sqrt(degrees) * tan(angle)``."""
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = degrees % 2
    term = total = 0.0
    for k in range(degrees // 2):
        # The factors are 2/3, 4/5, ... for odd degrees, 1/2, 3/4, ... for even ones.
        term = term * square * (2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k)) if k else 1.0
        total += term
    if odd:
        return 2 / math.pi * (angle + sine * math.cos(angle) * total)
    return sine * total
