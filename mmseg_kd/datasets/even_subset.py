"""A few places, evenly spread."""

import numpy as np


def even_subset(total: int, count: int) -> list[int]:
    """Indices spread evenly over ``0 .. total - 1``, the first and the last among them; all, if there are no more.

    Args:
        total: number of places.
        count: number of indices.

    >>> even_subset(10, 4)
    [0, 3, 6, 9]
    >>> even_subset(2, 4)
    [0, 1]
    """
    return np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()
