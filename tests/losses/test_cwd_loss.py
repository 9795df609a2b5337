import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, maps, softmax

from mmseg_kd.losses import CWDLoss


def expected(student, teacher, tau):
    n, c = student.shape[:2]
    total = 0.0
    for b in range(n):
        for k in range(c):
            p, q = (softmax(x[b, k].numpy().ravel() / tau, 0) for x in (teacher, student))
            total += sum(p[i] * np.log(p[i] / q[i]) for i in range(len(p)))
    return tau**2 * total / (n * c)


@pytest.mark.parametrize('tau', [1.0, 4.0])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, tau):
    student, teacher = maps(*shape, scale=3.0)
    assert_value(CWDLoss(tau), expected(student, teacher, tau), student, teacher)


def test_two_positions_by_hand():
    student = torch.zeros(1, 1, 1, 2)
    teacher = torch.tensor([4 * np.log(3.0), 0.0]).reshape(1, 1, 1, 2).float()
    # 16 (3/4 log(3/2) + 1/4 log(1/2))
    assert CWDLoss(4.0)(student, teacher).item() == pytest.approx(16 * 0.13081204, abs=1e-5)


def test_gradient():
    assert_gradient(CWDLoss(2.0), *maps(2, 3, 2, 3))


def test_gradient_is_the_difference_of_the_softmaxes():
    student, teacher = maps(2, 5, 3, 4)
    tau = 3.0
    p, q = (softmax(x.numpy().reshape(2, 5, 12) / tau, 2).reshape(2, 5, 3, 4) for x in (teacher, student))
    torch.testing.assert_close(gradient(CWDLoss(tau), student, teacher), torch.from_numpy(tau * (q - p) / 10))


def test_a_constant_per_channel_changes_nothing():
    student, teacher = maps(2, 5, 3, 4)
    shifted = student + torch.randn(2, 5, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(CWDLoss()(shifted, teacher), CWDLoss()(student, teacher))


def test_where_the_positions_lie_does_not_matter():
    student, teacher = maps(2, 5, 3, 4)
    order = torch.randperm(12)
    moved = (x.flatten(2)[:, :, order].reshape(x.shape) for x in (student, teacher))
    torch.testing.assert_close(CWDLoss()(*moved), CWDLoss()(student, teacher))


def test_channels_are_independent():
    student, teacher = maps(2, 5, 3, 4)
    changed = student.clone()
    changed[:, 2] += torch.randn(2, 3, 4, dtype=torch.float64)
    before, after = (gradient(CWDLoss(), x, teacher) for x in (student, changed))
    others = [0, 1, 3, 4]
    torch.testing.assert_close(before[:, others], after[:, others], rtol=0, atol=0)
    assert not torch.allclose(before[:, 2], after[:, 2])


def test_one_position_is_always_matched():
    assert CWDLoss()(*maps(2, 5, 1, 1)).item() == 0


def test_huge_activations_stay_finite():
    student, teacher = (x.sign().float() * 1e4 for x in maps(1, 4, 3, 3))
    assert CWDLoss(1.0)(student, teacher).isfinite()
    assert gradient(CWDLoss(1.0), student, teacher).isfinite().all()


def test_autograd_keeps_two_maps():
    student, teacher = maps(2, 19, 8, 8)
    assert kept_floats(CWDLoss(), student, teacher) <= student.numel()


@pytest.mark.parametrize('temperature', [0.0, -1.0])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match='temperature must be > 0'):
        CWDLoss(temperature)
