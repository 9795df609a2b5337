import cv2
import numpy as np
import pytest

from mmseg_kd.datasets.pixel_maps import cut, find_map, joined, marks, resizing

SIZE = (64, 96)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def moved(function):
    return [function(each) for each in marks(SIZE)]


def nearest(height, width):
    return lambda maps: cv2.resize(maps, (width, height), interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize(
    'function, expected',
    [
        (lambda maps: maps, [[1, 0, 0], [0, 1, 0]]),
        (lambda maps: maps[5:37, 7:71], [[1, 0, 7], [0, 1, 5]]),
        (lambda maps: maps[:, :-1], [[1, 0, 0], [0, 1, 0]]),
        (lambda maps: maps[::-1, ::-1], [[-1, 0, 95], [0, -1, 63]]),
        (np.rot90, [[0, -1, 95], [1, 0, 0]]),
        (lambda maps: np.pad(maps, 8, constant_values=255), [[1, 0, -8], [0, 1, -8]]),
        (nearest(32, 48), [[2, 0, 0.5], [0, 2, 0.5]]),
        (nearest(128, 192), [[0.5, 0, -0.25], [0, 0.5, -0.25]]),
        (nearest(77, 131), resizing(SIZE, (77, 131))),
        (lambda maps: np.roll(maps, 48, 1), None),  # two halves in the wrong order, as in a mosaic
        (lambda maps: np.full_like(maps, 255), [[1, 0, -1e6], [0, 1, -1e6]]),
    ],
)
def test_crops_flips_and_resizing_are_found_exactly(function, expected):
    found = find_map(*moved(function), SIZE)
    assert found is None if expected is None else np.array_equal(found, expected)


def test_a_rotation_is_found_to_hundredths_of_a_pixel():
    rotation = cv2.getRotationMatrix2D((47.5, 31.5), 17, 1.3)
    found = find_map(
        *moved(lambda maps: cv2.warpAffine(maps, rotation, SIZE[::-1], flags=cv2.INTER_NEAREST, borderValue=255)), SIZE
    )
    corners = np.array([[0, 0, 1], [95, 0, 1], [0, 63, 1], [95, 63, 1]])
    assert np.abs(corners @ (found - cv2.invertAffineTransform(rotation)).T).max() < 0.02


def test_whole_steps_are_cut_as_by_hand_and_are_0_outside():
    found = cut(IMAGE, np.array([[-1, 0, 98], [0, 1, 60]]), (8, 10))
    expected = np.zeros((8, 10, 3), np.uint8)
    expected[:4, 3:] = IMAGE[60:, 89:][:, ::-1]
    assert np.array_equal(found, expected)


def test_other_parts_are_interpolated_as_resizing_does():
    for size in ((32, 48), (100, 130)):
        found, expected = cut(IMAGE, resizing(SIZE, size), size), cv2.resize(IMAGE, size[::-1])
        assert np.abs(found.astype(int) - expected).max() <= 1
    many = np.dstack([IMAGE, IMAGE[..., :2]])  # more channels than OpenCV takes
    assert np.array_equal(
        cut(many, resizing(SIZE, (32, 48)), (32, 48))[..., 3:], cut(IMAGE, resizing(SIZE, (32, 48)), (32, 48))[..., :2]
    )


def test_half_of_a_crop_in_padding_is_0_beside_interpolated_pixels():
    matrix = joined(np.array([[1, 0, -48], [0, 1, 0]]), resizing((64, 96), (32, 48)))
    found = cut(IMAGE, matrix, (32, 48))
    assert not found[:, :24].any() and np.array_equal(found[:, 24:], cut(IMAGE, resizing((64, 96), (32, 48)), (32, 24)))
