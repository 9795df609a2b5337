import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, maps

from mmseg_kd.losses import CosineFeatureLoss


def expected(student, teacher):
    n, _, h, w = student.shape
    total = 0.0
    for b in range(n):
        for i in range(h):
            for j in range(w):
                s, t = student[b, :, i, j].numpy(), teacher[b, :, i, j].numpy()
                total += 1 - sum(s * t) / np.sqrt(sum(s * s)) / np.sqrt(sum(t * t))
    return total / (n * h * w)


@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape):
    student, teacher = maps(*shape)
    assert_value(CosineFeatureLoss(), expected(student, teacher), student, teacher)


def test_levels_are_averaged():
    students, teachers = zip(maps(2, 3, 4, 5, seed=1), maps(2, 8, 2, 3, seed=2))
    value = np.mean([expected(s, t) for s, t in zip(students, teachers)])
    assert_value(CosineFeatureLoss(), value, students, teachers)


def test_by_hand():
    # Angles of 0, 90 and 180 degrees.
    student = torch.tensor([[5.0, 0.0, -2.0], [0.0, 1.0, 0.0]]).reshape(1, 2, 1, 3)
    teacher = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]).reshape(1, 2, 1, 3)
    assert CosineFeatureLoss()(student, teacher).item() == pytest.approx((0 + 1 + 2) / 3)


def test_gradient():
    assert_gradient(CosineFeatureLoss(), *maps(2, 3, 2, 3))


def test_length_does_not_matter():
    student, teacher = maps(2, 4, 3, 3)
    a, b = (torch.rand(2, 1, 3, 3, dtype=torch.float64) + 0.1 for _ in range(2))
    torch.testing.assert_close(CosineFeatureLoss()(a * student, b * teacher), CosineFeatureLoss()(student, teacher))


def test_zero_vectors_count_one_and_get_no_gradient():
    student, teacher = maps(1, 4, 1, 2)
    student[..., 0] = 0
    value = CosineFeatureLoss()(student, teacher).item()
    assert value == pytest.approx((1 + expected(student[..., 1:], teacher[..., 1:])) / 2)
    grad = gradient(CosineFeatureLoss(), student, teacher)
    assert (grad[..., 0] == 0).all() and grad[..., 1].abs().sum() > 0


def test_a_projection_of_the_student_learns():
    student, teacher = maps(2, 4, 3, 3, channels=6)
    weight = torch.randn(6, 4, 1, 1, dtype=torch.float64, requires_grad=True)
    CosineFeatureLoss()(F.conv2d(student, weight), teacher).backward()
    assert weight.grad.abs().sum() > 0


def test_autograd_keeps_no_copy_of_a_map():
    student, teacher = maps(2, 64, 8, 8)
    assert kept_floats(CosineFeatureLoss(), student, teacher) < student.numel() / 4
