import sys

import numpy as np
import pytest
from PIL import Image

from mmseg_kd.visualization.comparison_picture import comparison_picture, difference_map

pytest.importorskip('matplotlib')

GREEN, RED, GRAY, WHITE = (0, 170, 60), (215, 25, 30), (128, 128, 128), (255, 255, 255)
PALETTE = [[10, 20, 30], [200, 0, 100], [0, 90, 255]]


def scenes(num, side=8):
    random = np.random.default_rng(0)
    images = list(random.integers(0, 256, (num, side, side, 3), dtype=np.uint8))
    return images, *(list(random.integers(0, 3, (num, side, side))) for _ in range(4))


def shares(picture, color):
    return np.all(picture == color, axis=-1).mean()


def test_difference_says_who_alone_is_right():
    truth = np.array([[1, 1, 1, 1, 255]])
    student = np.array([[1, 1, 0, 2, 1]])
    distilled = np.array([[1, 0, 1, 2, 0]])
    assert difference_map(truth, student, distilled).tolist() == [[list(c) for c in (GRAY, RED, GREEN, GRAY, WHITE)]]


@pytest.mark.parametrize('rows', [1, 3])
def test_there_is_one_row_an_image(tmp_path, rows):
    comparison_picture(*scenes(rows), PALETTE, tmp_path / 'a.png')
    width, height = Image.open(tmp_path / 'a.png').size
    # 120 pixels an inch: columns and rows of 1.6 + 0.05; titles of 0.22, two lines of 0.2, and 0.2 below.
    assert abs(width - 120 * (6 * 1.65 + 0.05)) <= 1 and abs(height - 120 * (1.65 * rows + 0.22 + 0.2 + 0.2)) <= 1


def test_columns_are_in_the_order_of_their_titles(tmp_path):
    """Every column is filled with one color of its own; the picture shows them from left to right."""
    flat = np.zeros((8, 8), int)
    image = np.full((8, 8, 3), (250, 130, 5), np.uint8)
    comparison_picture([image], [flat], [flat + 1], [flat + 2], [flat], PALETTE, tmp_path / 'a.png')
    pixels = np.array(Image.open(tmp_path / 'a.png').convert('RGB'))
    middle = pixels[len(pixels) // 2, [int(120 * (0.05 + 0.8 + 1.65 * i)) for i in range(6)]]
    assert middle.tolist() == [[250, 130, 5], PALETTE[0], PALETTE[1], PALETTE[2], PALETTE[0], list(GREEN)]


def test_last_column_turns_red_where_distillation_hurts(tmp_path):
    flat = np.zeros((8, 8), int)
    image = np.zeros((8, 8, 3), np.uint8)
    comparison_picture([image], [flat], [flat], [flat], [flat + 1], PALETTE, tmp_path / 'a.png')
    last = np.array(Image.open(tmp_path / 'a.png').convert('RGB'))[40:-60, 970:]
    assert shares(last, RED) > 0.8 and shares(last, GREEN) == 0


@pytest.mark.parametrize('change', [lambda lists: [[] for _ in lists], lambda lists: [*lists[:4], lists[4][:1]]])
def test_lists_that_do_not_match_are_refused(tmp_path, change):
    with pytest.raises(ValueError, match='equal lengths of at least 1, but'):
        comparison_picture(*change(scenes(2)), PALETTE, tmp_path / 'a.png')
    assert not (tmp_path / 'a.png').exists()


def test_matplotlib_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(ImportError) as caught:
        comparison_picture(*scenes(1), PALETTE, tmp_path / 'a.png')
    assert str(caught.value) == 'pictures need matplotlib: pip install "mmseg-kd[demo]"'
