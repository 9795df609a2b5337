import math

import pytest
import torch
from mmseg.registry import MODELS
from reference import SHAPES, assert_gradient, assert_value, gradient, labels, maps, softmax

from mmseg_kd.losses import ProbabilityMSELoss


@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape):
    student, teacher = maps(*shape, scale=3.0)
    s, t = (softmax(x.numpy(), 1).ravel() for x in (student, teacher))
    assert_value(ProbabilityMSELoss(), sum((s - t) ** 2) / len(s), student, teacher)


def test_one_pixel_by_hand():
    student = torch.tensor([math.log(3.0), 0.0]).reshape(1, 2, 1, 1)
    # 3/4 and 1/4 against 1/2 and 1/2
    assert ProbabilityMSELoss()(student, torch.zeros(1, 2, 1, 1)).item() == pytest.approx(1 / 16)


def test_gradient():
    assert_gradient(ProbabilityMSELoss(), *maps(2, 3, 2, 3))


def test_a_constant_per_pixel_changes_nothing():
    student, teacher = maps(2, 5, 3, 4)
    shifted = student + torch.randn(2, 1, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(ProbabilityMSELoss()(shifted, teacher), ProbabilityMSELoss()(student, teacher))


def test_no_value_is_greater_than_two_classes_that_are_wrong():
    student = torch.zeros(1, 5, 2, 2)
    teacher = student.clone()
    student[:, 0], teacher[:, 1] = 1e4, 1e4
    assert ProbabilityMSELoss()(student, teacher).item() == pytest.approx(2 / 5)
    assert gradient(ProbabilityMSELoss(), student, teacher).isfinite().all()


def test_padding_can_be_left_out():
    student, teacher = maps(2, 3, 4, 6)
    y = labels(2, 4, 6)
    counted = (y != 255)[:, None].expand_as(student)
    squares = (student.softmax(1) - teacher.softmax(1)).square()
    loss = MODELS.build(dict(type='OnLabeled', loss=dict(type='ProbabilityMSELoss')))
    torch.testing.assert_close(loss(student, teacher, y), squares[counted].mean())
