import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, maps

from mmseg_kd.losses import CSCLoss, PairWiseKDLoss


def pooled(x, kernel):
    rows, columns = (range(0, n, kernel) for n in x.shape[1:])
    means = [x[:, i : i + kernel, j : j + kernel].mean((1, 2)) for i in rows for j in columns]
    return np.array(means).T


def cosines(vectors):
    vectors = [v / np.linalg.norm(v) for v in vectors]
    return np.array([[a @ b for a in vectors] for b in vectors])


def expected(student, teacher, kernel):
    total = []
    for s, t in zip(student.numpy(), teacher.numpy()):
        s, t = pooled(s, kernel), pooled(t, kernel)
        total.append(((cosines(s.T) - cosines(t.T)) ** 2).mean() + ((cosines(s) - cosines(t)) ** 2).mean())
    return np.mean(total)


@pytest.mark.parametrize('kernel', [1, 2, 3])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, kernel):
    student, teacher = maps(*shape)
    assert_value(CSCLoss(kernel), expected(student, teacher, kernel), student, teacher)


def test_two_pixels_by_hand():
    # Places: two of four entries differ by 1. Channels: the same.
    student, teacher = torch.eye(2).reshape(1, 2, 1, 2), torch.ones(1, 2, 1, 2)
    assert CSCLoss(1)(student, teacher).item() == pytest.approx(0.5 + 0.5)


@pytest.mark.parametrize('shape', [(2, 5, 2, 2), (2, 2, 4, 4)])
def test_gradient(shape):
    assert_gradient(CSCLoss(1), *maps(*shape))


def test_scaling_channels_leaves_their_correlation_and_scaling_pixels_that_of_places():
    student, teacher = maps(2, 4, 6, 6)
    by_place = [PairWiseKDLoss(1)(x, teacher) for x in (student, student * torch.arange(1, 5).reshape(4, 1, 1))]
    by_channel = [
        CSCLoss(1)(x, teacher) - pair
        for x, pair in zip((student, student * torch.arange(1, 5).reshape(4, 1, 1)), by_place)
    ]
    torch.testing.assert_close(*by_channel)
    assert not torch.isclose(*by_place)


def test_where_the_places_lie_does_not_matter():
    student, teacher = maps(2, 4, 3, 5)
    order = torch.randperm(15)
    moved = (x.flatten(2)[:, :, order].reshape(x.shape) for x in (student, teacher))
    torch.testing.assert_close(CSCLoss(1)(*moved), CSCLoss(1)(student, teacher))


@pytest.mark.parametrize('shape', [(2, 5, 2, 2), (2, 2, 4, 4)])
def test_zeros_get_no_gradient(shape):
    _, teacher = maps(*shape)
    assert (gradient(CSCLoss(), torch.zeros_like(teacher), teacher) == 0).all()


def test_no_matrix_of_pixels_is_kept():
    student, teacher = maps(1, 4, 32, 32)
    assert kept_floats(CSCLoss(1), student, teacher) < 16 * student.numel() < 32**4


def test_kernel_must_be_positive():
    with pytest.raises(ValueError, match='CSCLoss: kernel must be >= 1'):
        CSCLoss(0)
