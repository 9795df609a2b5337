import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, maps, softmax

from mmseg_kd.losses import PixelWiseKDLoss, StandardizedKDLoss


def expected(student, teacher, tau):
    z = [(x - x.mean(1, keepdims=True)) / x.std(1, ddof=1, keepdims=True) for x in (student.numpy(), teacher.numpy())]
    q, p = (softmax(x / tau, 1) for x in z)
    return tau**2 * (p * np.log(p / q)).sum(1).mean()


@pytest.mark.parametrize('tau', [1.0, 2.0])
@pytest.mark.parametrize('shape', [shape for shape in SHAPES if shape[1] > 2])
def test_equals_the_formula(shape, tau):
    student, teacher = maps(*shape, scale=3.0)
    assert_value(StandardizedKDLoss(tau), expected(student, teacher, tau), student, teacher)


def test_three_classes_by_hand():
    # (0, 1, 2) and (2, 1, 0) have z-scores (-1, 0, 1) and (1, 0, -1) at any scale: KL = 2 (e - 1/e) / (e + 1 + 1/e).
    student = torch.tensor([0.0, 1.0, 2.0]).reshape(1, 3, 1, 1)
    value = StandardizedKDLoss(1.0)(student, 50 - 20 * student)
    assert value.item() == pytest.approx(2 * (np.e - 1 / np.e) / (np.e + 1 + 1 / np.e), rel=1e-5)


def test_gradient():
    assert_gradient(StandardizedKDLoss(), *maps(2, 4, 2, 3))


def test_scale_and_offset_of_a_pixel_do_not_matter():
    student, teacher = maps(2, 5, 3, 4)
    value = StandardizedKDLoss()(student, teacher)
    for changed in ((7.0 * student + 3, teacher), (student, 0.01 * teacher - 3)):
        torch.testing.assert_close(StandardizedKDLoss()(*changed), value)
    assert not torch.isclose(PixelWiseKDLoss(2.0)(7.0 * student, teacher), PixelWiseKDLoss(2.0)(student, teacher))


def test_two_classes_have_nothing_to_learn():
    with pytest.raises(ValueError, match='less than 3 channels, but got 2; take PixelWiseKDLoss'):
        StandardizedKDLoss()(*maps(2, 2, 3, 4))


def test_equal_logits_get_no_gradient():
    student, teacher = maps(1, 4, 3, 3)
    student[..., 1, 1] = 5.0
    grad = gradient(StandardizedKDLoss(), student, teacher)
    assert grad.isfinite().all() and (grad[..., 1, 1] == 0).all() and grad.abs().sum() > 0


def test_huge_logits_stay_finite():
    student, teacher = (1e4 * x.float() for x in maps(1, 4, 3, 3))
    assert StandardizedKDLoss()(student, teacher).isfinite()
    assert gradient(StandardizedKDLoss(), student, teacher).isfinite().all()


def test_autograd_keeps_four_maps():
    student, teacher = maps(2, 64, 8, 8)
    assert kept_floats(StandardizedKDLoss(), student, teacher) <= 4.2 * student.numel()


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match='StandardizedKDLoss: temperature must be > 0'):
        StandardizedKDLoss(0.0)
