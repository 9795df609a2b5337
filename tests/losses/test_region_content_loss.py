import math

import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, maps, rotated

from mmseg_kd.losses import RegionContentLoss


def cells(x, grid):
    """Unit vectors of one sample (C, H, W), one per cell; cells share pixels where the grid does not divide the map."""
    c, h, w = x.shape
    vectors = []
    for i in range(grid):
        for j in range(grid):
            rows = slice(i * h // grid, math.ceil((i + 1) * h / grid))
            columns = slice(j * w // grid, math.ceil((j + 1) * w / grid))
            vectors.append(x[:, rows, columns].reshape(c, -1).mean(1))
    return [v / max(np.linalg.norm(v), 1e-8) for v in vectors]


def expected(student, teacher, grid):
    total = 0.0
    for s, t in zip(student.numpy(), teacher.numpy()):
        s, t = cells(s, grid), cells(t, grid)
        total += sum((s[i] @ s[j] - t[i] @ t[j]) ** 2 for i in range(len(s)) for j in range(len(s)))
    return total / (len(student) * grid**4)


@pytest.mark.parametrize('grid', [1, 3, 7])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, grid):
    student, teacher = maps(*shape, channels=7)
    assert_value(RegionContentLoss(grid), expected(student, teacher, grid), student, teacher)


def test_two_by_two_cells_by_hand():
    # The student's rows are orthogonal, the teacher's cells all equal: 8 of 16 similarities differ by one.
    student = torch.tensor([[[5.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [2.0, 3.0]]])[None]
    assert RegionContentLoss(2)(student, torch.ones(1, 3, 2, 2)).item() == pytest.approx(0.5)


def test_gradient():
    assert_gradient(RegionContentLoss(2), *maps(2, 3, 4, 5, channels=2))


def test_where_a_pixel_lies_within_its_cell_does_not_matter():
    student, teacher = maps(1, 3, 4, 4)
    flipped = student.unflatten(3, (2, 2)).flip(4).flatten(3)
    torch.testing.assert_close(RegionContentLoss(2)(flipped, teacher), RegionContentLoss(2)(student, teacher))
    assert not torch.isclose(RegionContentLoss(4)(flipped, teacher), RegionContentLoss(4)(student, teacher))


def test_the_scale_of_a_cell_does_not_matter():
    student, teacher = maps(2, 4, 6, 6)
    scale = torch.rand(2, 1, 3, 3, dtype=torch.float64).add(0.1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(RegionContentLoss(3)(student * scale, teacher), RegionContentLoss(3)(student, teacher))


def test_rotating_the_channels_does_not_matter():
    student, teacher = maps(2, 4, 6, 6)
    torch.testing.assert_close(RegionContentLoss(3)(rotated(student), teacher), RegionContentLoss(3)(student, teacher))


def test_no_value_is_greater_than_four():
    student = torch.randn(2, 1, 7, 7)
    assert 0 < RegionContentLoss()(student, student.abs()) <= 4


def test_cells_of_zeros_get_no_gradient():
    student, teacher = maps(1, 3, 4, 4)
    student[..., :2, :2] = 0
    grad = gradient(RegionContentLoss(2), student, teacher)
    assert grad.isfinite().all() and (grad[..., :2, :2] == 0).all() and grad.abs().sum() > 0


def test_grid_must_be_positive():
    with pytest.raises(ValueError, match='RegionContentLoss: grid must be >= 1, but is 0'):
        RegionContentLoss(0)
