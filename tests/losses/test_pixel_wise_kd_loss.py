import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, maps, softmax

from mmseg_kd.losses import PixelWiseKDLoss


def expected(student, teacher, tau):
    n, c, h, w = student.shape
    total = 0.0
    for b in range(n):
        for i in range(h):
            for j in range(w):
                p, q = (softmax(x[b, :, i, j].numpy() / tau, 0) for x in (teacher, student))
                total += sum(p[k] * np.log(p[k] / q[k]) for k in range(c))
    return tau**2 * total / (n * h * w)


@pytest.mark.parametrize('tau', [1.0, 4.0])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, tau):
    student, teacher = maps(*shape, scale=3.0)
    assert_value(PixelWiseKDLoss(tau), expected(student, teacher, tau), student, teacher)


def test_two_classes_by_hand():
    student = torch.zeros(1, 2, 1, 1)
    teacher = torch.tensor([np.log(3.0), 0.0]).reshape(1, 2, 1, 1).float()
    # 3/4 log(3/2) + 1/4 log(1/2)
    assert PixelWiseKDLoss()(student, teacher).item() == pytest.approx(0.13081204, abs=1e-6)


def test_gradient():
    assert_gradient(PixelWiseKDLoss(2.0), *maps(2, 3, 2, 3))


def test_gradient_is_the_difference_of_the_softmaxes():
    student, teacher = maps(2, 5, 3, 4)
    tau, pixels = 3.0, 2 * 3 * 4
    difference = torch.from_numpy(softmax(student.numpy() / tau, 1) - softmax(teacher.numpy() / tau, 1))
    torch.testing.assert_close(gradient(PixelWiseKDLoss(tau), student, teacher), tau * difference / pixels)


def test_a_constant_per_pixel_changes_nothing():
    student, teacher = maps(2, 5, 3, 4)
    shifted = student + torch.randn(2, 1, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(PixelWiseKDLoss()(shifted, teacher), PixelWiseKDLoss()(student, teacher))


def test_a_doubled_batch_changes_nothing():
    student, teacher = maps(2, 5, 3, 4)
    twice = PixelWiseKDLoss()(student.repeat(2, 1, 1, 1), teacher.repeat(2, 1, 1, 1))
    torch.testing.assert_close(twice, PixelWiseKDLoss()(student, teacher))


def test_huge_logits_stay_finite():
    student, teacher = (x.sign().float() * 1e4 for x in maps(1, 4, 3, 3))
    assert PixelWiseKDLoss()(student, teacher).isfinite()
    assert gradient(PixelWiseKDLoss(), student, teacher).isfinite().all()


def test_autograd_keeps_two_maps():
    student, teacher = maps(2, 19, 8, 8)
    assert kept_floats(PixelWiseKDLoss(4.0), student, teacher) <= student.numel()


@pytest.mark.parametrize('temperature', [0.0, -1.0])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match='temperature must be > 0'):
        PixelWiseKDLoss(temperature)
