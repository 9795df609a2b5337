"""Plots of a teacher's output."""

import sys

import numpy as np
import pytest
from PIL import Image
from random_outputs import images, statistics_of

from mmseg_kd.visualization.teacher_plot import draw_teacher


def test_the_plot_is_a_picture_of_both_diagrams(tmp_path):
    pytest.importorskip('matplotlib')
    draw_teacher('a teacher', statistics_of(images()), tmp_path / 'a.png')
    draw_teacher('a teacher', statistics_of(images(scale=1.0)), tmp_path / 'b.png')
    first, second = (np.asarray(Image.open(tmp_path / name).convert('RGB')) for name in ('a.png', 'b.png'))
    assert first.shape == (528, 1320, 3) and first.std() > 10
    assert (first[:, :800] != second[:, :800]).any() and (first[:, 850:] != second[:, 850:]).any()


def test_matplotlib_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(ImportError) as caught:
        draw_teacher('a teacher', statistics_of(images()), tmp_path / 'a.png')
    assert str(caught.value) == 'plots need matplotlib: pip install "mmseg-kd[report]"'
