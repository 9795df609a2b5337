import sys

import numpy as np
import pytest
from PIL import Image

from mmseg_kd.visualization.picture_grid import PictureRow, class_legend, color_labels, draw_grid, palette_of

PALETTE = [[10, 20, 30], [200, 0, 100], [0, 90, 255]]


def flat(color, height=8, width=8):
    return np.full((height, width, 3), color, np.uint8)


def test_labels_take_the_colors_of_the_palette_and_void_is_white():
    assert color_labels(np.array([[2, 0, 255]]), PALETTE).tolist() == [[PALETTE[2], PALETTE[0], [255] * 3]]


def test_classes_without_a_palette_get_colors_of_their_own():
    assert palette_of(dict(classes=('a', 'b'), palette=np.array([[1, 2, 3], [4, 5, 6]]))) == [[1, 2, 3], [4, 5, 6]]
    colors = palette_of(dict(classes=('a', 'b', 'c'), palette=None))
    assert np.shape(colors) == (3, 3) and colors == palette_of(dict(classes=('a', 'b', 'c')))


def test_legend_tells_what_is_to_be_seen():
    maps = [np.array([[2, 2]]), np.array([[0, 255]])]
    assert class_legend(maps, 'abc', PALETTE) == [('a', PALETTE[0]), ('c', PALETTE[2]), ('ignored', (255, 255, 255))]
    assert class_legend(maps[:1], 'abc', PALETTE) == [('c', PALETTE[2])]


def test_rows_keep_their_proportions_and_untitled_ones_lie_close(tmp_path):
    pytest.importorskip('matplotlib')
    tall, wide = flat(PALETTE[0], 16), flat(PALETTE[1], 4)
    draw_grid(['one'], [PictureRow('a title', [tall]), PictureRow('', [wide])], [], tmp_path / 'a.png')
    column = np.array(Image.open(tmp_path / 'a.png').convert('RGB'))[:, 100]
    runs = [np.flatnonzero((column == color).all(-1)) for color in PALETTE[:2]]
    # 120 pixels an inch: heights of 3.2 and 0.8, between them 0.05, above them 0.22 + 0.22, below them 0.2.
    assert [len(run) for run in runs] == pytest.approx([384, 96], abs=2)
    assert [runs[0][0], runs[1][0] - runs[0][-1], len(column) - runs[1][-1]] == pytest.approx([53, 7, 25], abs=2)


def test_legend_takes_the_lines_it_needs(tmp_path):
    pytest.importorskip('matplotlib')
    heights = []
    for count in (1, 2, 3):
        draw_grid(['one', 'two'], [PictureRow('', [flat(0)] * 2)], [('a' * 40, PALETTE[1])] * count, tmp_path / 'a.png')
        heights.append(Image.open(tmp_path / 'a.png').height)
    assert np.diff(heights).tolist() == [24, 24]  # 0.2 inches each


def test_matplotlib_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(ImportError) as caught:
        draw_grid(['one'], [PictureRow('', [flat(0)])], [], tmp_path / 'a.png')
    assert str(caught.value) == 'pictures need matplotlib: pip install "mmseg-kd[demo]"'
    assert not list(tmp_path.iterdir())
