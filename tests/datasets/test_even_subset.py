"""Indices that are spread evenly."""

import pytest

from mmseg_kd.datasets.even_subset import even_subset


@pytest.mark.parametrize(
    'total, count, indices', [(10, 4, [0, 3, 6, 9]), (9, 3, [0, 4, 8]), (2, 4, [0, 1]), (5, 1, [0]), (0, 3, [])]
)
def test_indices_are_spread_from_the_first_to_the_last(total, count, indices):
    assert even_subset(total, count) == indices


def test_no_index_is_repeated():
    assert all(len(set(even_subset(total, 7))) == min(total, 7) for total in range(1, 30))
