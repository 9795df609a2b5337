"""Splits in two halves."""

import pytest

from mmseg_kd.engine.loops.mckd_halves import split_in_halves

NAMES = [f'{city}_{number}' for city in 'xyz' for number in range(4)]


def test_every_image_is_in_one_half_and_the_seed_chooses():
    halves = split_in_halves(NAMES, None, seed=0)
    assert sorted(halves['a'] + halves['b']) == NAMES and len(halves['a']) == len(halves['b']) == 6
    assert halves == split_in_halves(NAMES, None, seed=0) != split_in_halves(NAMES, None, seed=1)


def test_groups_stay_together_and_the_largest_goes_first():
    halves = split_in_halves(['x_1', 'y_1', 'y_2', 'y_3', 'z_1', 'z_2'], '^(.)_', seed=0)
    assert sorted(halves.values()) == [['x_1', 'z_1', 'z_2'], ['y_1', 'y_2', 'y_3']]


@pytest.mark.parametrize(
    'names, group, message',
    [
        (['x_1'], None, '1 images in 1 groups cannot be split'),
        (['x_1', 'x_2'], '^(.)_', '2 images in 1 groups cannot be split'),
        (['x_1', 'y_2'], '^(y)', r'group \^\(y\) must match every id, but does not match x_1'),
    ],
)
def test_names_that_cannot_be_split_are_refused(names, group, message):
    with pytest.raises(ValueError, match=message):
        split_in_halves(names, group, seed=0)
