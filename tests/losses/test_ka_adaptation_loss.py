import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, maps

from mmseg_kd.losses import KAAdaptationLoss


@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape):
    student, teacher = maps(*shape)
    distances = [
        abs(s / np.linalg.norm(s) - t / np.linalg.norm(t)).sum()
        for s, t in zip(*(x.numpy().transpose(0, 2, 3, 1).reshape(-1, shape[1]) for x in (student, teacher)))
    ]
    assert_value(KAAdaptationLoss(), np.mean(distances), student, teacher)


def test_two_pixels_by_hand():
    student = torch.tensor([[3.0, 0.0], [4.0, 2.0]]).reshape(1, 2, 1, 2)
    teacher = torch.tensor([[1.0, 0.0], [0.0, 7.0]]).reshape(1, 2, 1, 2)
    assert KAAdaptationLoss()(student, teacher).item() == pytest.approx((0.4 + 0.8 + 0) / 2)


def test_gradient():
    assert_gradient(KAAdaptationLoss(), *maps(2, 3, 3, 4))


def test_pixels_are_scaled_one_by_one():
    student, teacher = maps(2, 4, 3, 5)
    scale = torch.rand(2, 1, 3, 5, dtype=torch.float64) + 0.1
    torch.testing.assert_close(KAAdaptationLoss()(scale * student, teacher), KAAdaptationLoss()(student, teacher))


def test_it_is_bounded():
    teacher = torch.ones(1, 9, 2, 2)
    assert KAAdaptationLoss()(-teacher, teacher).item() == pytest.approx(2 * 9**0.5)


def test_zeros_get_no_gradient():
    _, teacher = maps(2, 4, 3, 5)
    assert (gradient(KAAdaptationLoss(), torch.zeros_like(teacher), teacher) == 0).all()
