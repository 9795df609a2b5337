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
    """The terms for a method; for ``'auto'``, those that helped most in this project's own measurements.

    Args:
        method: ``'auto'``, the name of a file in ``configs/_base_/terms``, or the path of a file of terms.

    Example:
        >>> choose_method('cwd').terms, choose_method('auto').terms
        ('cwd', 'pi')
    """
    if method != AUTO:
        return MethodChoice(method, 'named on the command line')
    return MethodChoice(
        'pi',
        'the divergence of every pixel. It fits every pair of networks, and in our comparison of tuned methods no '
        'other term added more than the std over seeds (docs/benchmarks/comparable_demo.md)',
    )
