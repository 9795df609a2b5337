import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, maps, rotated

from mmseg_kd.losses import AttentionTransferLoss, AttentionTransferNormLoss

BOTH = [AttentionTransferLoss, AttentionTransferNormLoss]


def attention(x):
    """Energy map of one sample (C, H, W) as a unit vector."""
    c, h, w = x.shape
    energy = np.array([sum(x[k, i, j] ** 2 for k in range(c)) / c for i in range(h) for j in range(w)])
    return energy / np.sqrt((energy**2).sum())


def expected(student, teacher, cls):
    differences = [attention(s) - attention(t) for s, t in zip(student.numpy(), teacher.numpy())]
    if cls is AttentionTransferLoss:
        return np.mean([(d**2).mean() for d in differences])
    return np.mean([np.sqrt((d**2).sum()) for d in differences])


@pytest.mark.parametrize('cls', BOTH)
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, cls):
    student, teacher = maps(*shape, channels=7)
    assert_value(cls(), expected(student, teacher, cls), student, teacher)


@pytest.mark.parametrize('cls', BOTH)
def test_levels_are_summed(cls):
    students, teachers = zip(maps(2, 3, 4, 5, channels=6, seed=1), maps(2, 8, 2, 3, seed=2))
    assert_value(cls(), sum(expected(s, t, cls) for s, t in zip(students, teachers)), students, teachers)


def test_two_pixels_by_hand():
    # Energies (1, 0) and (0, 9): the unit vectors are as far apart as non-negative ones can be.
    student, teacher = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2), torch.tensor([0.0, -3.0]).reshape(1, 1, 1, 2)
    assert AttentionTransferLoss()(student, teacher).item() == pytest.approx(2 / 2)
    assert AttentionTransferNormLoss()(student, teacher).item() == pytest.approx(2**0.5)


@pytest.mark.parametrize('cls', BOTH)
def test_gradient(cls):
    assert_gradient(cls(), *maps(2, 3, 2, 3))


@pytest.mark.parametrize('cls', BOTH)
def test_scale_sign_and_rotation_do_not_matter(cls):
    student, teacher = maps(2, 4, 3, 4)
    scale = torch.tensor([-0.01, 70.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    torch.testing.assert_close(cls()(scale * rotated(student), teacher), cls()(student, teacher))


@pytest.mark.parametrize('cls', BOTH)
def test_a_zero_map_gets_no_gradient(cls):
    student, teacher = maps(2, 4, 3, 4)
    student[0] = 0
    assert cls()(student, teacher).isfinite()
    grad = gradient(cls(), student, teacher)
    assert (grad[0] == 0).all() and grad[1].abs().sum() > 0
    assert (gradient(cls(), teacher, teacher) == 0).all()


def test_small_features_count_as_well():
    student, teacher = (x.float() for x in maps(2, 4, 3, 4))
    value = AttentionTransferLoss()(1e-5 * student, 1e-5 * teacher)
    torch.testing.assert_close(value, AttentionTransferLoss()(student, teacher))
