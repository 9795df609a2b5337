"""Mean, standard deviation (std) and confidence interval over a few seeds, and the results as good as the best."""

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Spread:
    """Mean and std of several measurements.

    Args:
        mean: mean of the measurements.
        std: sample standard deviation (divided by n - 1); None for a single measurement.
        count: number of measurements.

    Example:
        >>> Spread(mean=61.0, std=1.0, count=3).mean
        61.0
    """

    mean: float
    std: float | None
    count: int


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference of two paired groups of measurements.

    Args:
        mean: mean of the differences.
        low: lower end of the confidence interval; None for a single pair.
        high: upper end of the confidence interval; None for a single pair.
        pairs: number of pairs.

    Example:
        >>> PairedDifference(mean=1.2, low=0.4, high=2.0, pairs=3).pairs
        3
    """

    mean: float
    low: float | None
    high: float | None
    pairs: int


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation.

    Args:
        values: finite measurements, at least one.

    Raises:
        ValueError: if there is no value, or one is not finite.

    Example:
        >>> spread([60.0, 61.0, 62.0])
        Spread(mean=61.0, std=1.0, count=3)
    """
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f'the mean needs at least one value, all of them finite, but has {list(values)}')
    # fmean and stdev sum exactly.
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def paired_difference(
    ours: Mapping[Hashable, float], theirs: Mapping[Hashable, float], confidence: float = 0.95
) -> PairedDifference | None:
    r"""The mean of ``ours - theirs`` over the pairs, with the interval of Student's t distribution.

    .. math::
        \bar d \pm t_{n-1,\,(1 + c) / 2} \frac{s_d}{\sqrt n}

    with the mean :math:`\bar d` and the sample std :math:`s_d` of the :math:`n` differences, at confidence :math:`c`.
    Pairs have the same seed, so the effect of the seed on both sides cancels.

    Args:
        ours: measurements by key, such as the seed.
        theirs: measurements by key; keys that only one side has are ignored.
        confidence: probability that the interval contains the true mean, in (0, 1).

    Returns:
        PairedDifference: the result; None without a pair.

    Raises:
        ValueError: if ``confidence`` is not between 0 and 1.

    Example:
        >>> found = paired_difference({0: 61.0, 1: 63.0, 2: 65.0}, {0: 60.0, 1: 61.0, 2: 62.0})
        >>> print(f'{found.mean:.2f} in [{found.low:.2f}, {found.high:.2f}]')
        2.00 in [-0.48, 4.48]
    """
    if not 0 < confidence < 1:
        raise ValueError(f'confidence must lie between 0 and 1, such as 0.95, but is {confidence:g}')
    differences = [ours[key] - theirs[key] for key in ours if key in theirs]
    if not differences:
        return None
    found = spread(differences)
    if found.std is None:
        return PairedDifference(found.mean, None, None, 1)
    half = float(stats.t.ppf((1 + confidence) / 2, found.count - 1)) * found.std / math.sqrt(found.count)
    return PairedDifference(found.mean, found.mean - half, found.mean + half, found.count)


def as_good_as_best(spreads: Sequence[Spread]) -> list[str]:
    """``'best'`` for the highest mean, ``'within'`` for means at most one std of the best below it, or else ``''``.

    The std is that of the best result. If the best result is a single measurement, no result is within it. If all means
    are equal, none is marked.

    Args:
        spreads: results to rank.

    Example:
        >>> as_good_as_best([Spread(70.0, 1.0, 3), Spread(69.5, 0.2, 3), Spread(60.0, 2.0, 3)])
        ['best', 'within', '']
    """
    if len({one.mean for one in spreads}) < 2:
        return [''] * len(spreads)
    best = max(spreads, key=lambda one: one.mean)
    edge = best.mean - (best.std or 0.0)
    return ['best' if one.mean == best.mean else 'within' if one.mean >= edge else '' for one in spreads]
