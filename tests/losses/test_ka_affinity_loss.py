import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, maps, rotated

from mmseg_kd.losses import KAAffinityLoss


def affinity(x):
    x = x.reshape(len(x), -1)
    x = x / np.linalg.norm(x, axis=0)
    return np.array([[x[:, i] @ x[:, j] for j in range(x.shape[1])] for i in range(x.shape[1])]) / x.shape[1]


def expected(student, teacher):
    return np.mean([np.linalg.norm(affinity(s) - affinity(t)) for s, t in zip(student.numpy(), teacher.numpy())])


@pytest.mark.parametrize('channels', [2, 7], ids=['few', 'more'])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, channels):
    student, teacher = maps(*shape, channels=channels)
    assert_value(KAAffinityLoss(), expected(student, teacher), student, teacher)


def test_two_pixels_by_hand():
    student = torch.eye(2).reshape(1, 2, 1, 2)
    # Two entries of the matrix differ, by 1 / 2 each.
    assert KAAffinityLoss()(student, torch.ones(1, 1, 1, 2)).item() == pytest.approx(0.5**0.5)


@pytest.mark.parametrize('size', [2, 4], ids=['direct', 'gram'])
def test_gradient(size):
    assert_gradient(KAAffinityLoss(), *maps(2, 3, size, size, channels=5))


@pytest.mark.parametrize('size', [2, 8], ids=['direct', 'gram'])
def test_equal_maps_and_zeros_get_no_gradient(size):
    student, teacher = maps(2, 4, size, size)
    assert (gradient(KAAffinityLoss(), teacher, teacher) == 0).all()
    assert (gradient(KAAffinityLoss(), torch.zeros_like(student), teacher) == 0).all()


def test_the_scale_of_a_pixel_and_rotations_do_not_matter():
    student, teacher = maps(2, 4, 6, 6)
    scale = torch.rand(2, 1, 6, 6, dtype=torch.float64) + 0.1
    value = KAAffinityLoss()(student, teacher)
    torch.testing.assert_close(KAAffinityLoss()(rotated(scale * student, 1), rotated(teacher, 2)), value)
    assert value <= 2


def test_no_matrix_of_pixels_is_kept():
    student, teacher = maps(1, 4, 32, 32)
    assert kept_floats(KAAffinityLoss(), student, teacher) < 8 * student.numel() < 32**4
