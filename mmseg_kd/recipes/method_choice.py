"""The method of a distillation for which the user has not named one."""

from typing import NamedTuple

AUTO = 'auto'


class MethodChoice(NamedTuple):
    """The terms of a distillation.

    Args:
        terms: Name of a file in ``configs/_base_/terms``, or a path.
        reason: Why these terms, in one sentence.
    """

    terms: str
    reason: str


def choose_method(method: str) -> MethodChoice:
    """The terms for a method; for ``'auto'``, those that helped on the digits and showed no loss on CamVid.

    Args:
        method: ``'auto'``, the name of a file in ``configs/_base_/terms``, or the path of a file of terms.

    Example:
        >>> choose_method('cwd').terms, choose_method('auto').terms
        ('cwd', 'cwd_tuned')
    """
    if method != AUTO:
        return MethodChoice(method, 'named on the command line')
    return MethodChoice(
        'cwd_tuned',
        'the divergence of every class map, with 30 % of the gradient. It fits every pair of networks with the same '
        'classes, and counts rare classes as much as frequent ones (docs/benchmarks/camvid.md)',
    )
