import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, maps, rotated

from mmseg_kd.losses import ConsistencyKDLoss


def variation(x):
    """Of one map (C, H, W), pixel by pixel."""
    height, width, result = x.shape[1], x.shape[2], np.zeros(x.shape[1:])
    for i, j in np.ndindex(height, width):
        near = [
            (k, m)
            for k in (i - 1, i, i + 1)
            for m in (j - 1, j, j + 1)
            if 0 <= k < height and 0 <= m < width and (k, m) != (i, j)
        ]
        result[i, j] = np.mean([np.linalg.norm(x[:, i, j] - x[:, k, m]) for k, m in near]) if near else 0
    return result


@pytest.mark.parametrize('channels', [None, 7], ids=['equal', 'other'])
@pytest.mark.parametrize('shape', [*SHAPES, (2, 3, 1, 6), (1, 3, 6, 1)])
def test_equals_the_formula(shape, channels):
    student, teacher = maps(*shape, channels=channels)
    differences = [variation(s) - variation(t) for s, t in zip(student.numpy(), teacher.numpy())]
    assert_value(ConsistencyKDLoss(), np.mean(np.square(differences)), student, teacher)


def test_four_pixels_by_hand():
    """Each pixel has the three others as neighbors."""
    student = torch.tensor([[0.0, 3.0], [0.0, 0.0]]).reshape(1, 1, 2, 2)
    assert ConsistencyKDLoss()(student, torch.zeros_like(student)).item() == pytest.approx((3**2 + 3 * 1) / 4)


def test_gradient():
    assert_gradient(ConsistencyKDLoss(), *maps(2, 3, 3, 4))


def test_flat_maps_get_no_gradient():
    student, teacher = maps(1, 4, 3, 5)
    assert (gradient(ConsistencyKDLoss(), torch.ones_like(student), teacher) == 0).all()


def test_shifts_rotations_and_mirrors_do_not_matter():
    student, teacher = maps(2, 4, 3, 5)
    value = ConsistencyKDLoss()(student, teacher)
    moved = rotated(student) + torch.randn(2, 4, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(ConsistencyKDLoss()(moved, teacher), value)
    for dims in ([2], [3], [2, 3]):
        torch.testing.assert_close(ConsistencyKDLoss()(student.flip(dims), teacher.flip(dims)), value)


def test_autograd_keeps_four_differences():
    student, teacher = maps(1, 64, 16, 16)
    assert kept_floats(ConsistencyKDLoss(), student, teacher) < 4.2 * student.numel()
