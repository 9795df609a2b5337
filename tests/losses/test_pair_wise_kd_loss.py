import math

import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, maps, rotated

from mmseg_kd.losses import MaxPairWiseKDLoss, PairWiseKDLoss
from mmseg_kd.losses.ops import gram_distance, unit

POOL = {PairWiseKDLoss: np.mean, MaxPairWiseKDLoss: np.max}


def nodes(x, kernel, pool):
    """Unit vectors of one sample (C, H, W), one per node."""
    c, h, w = x.shape
    vectors = []
    for i in range(math.ceil(h / kernel)):
        for j in range(math.ceil(w / kernel)):
            cell = x[:, i * kernel : (i + 1) * kernel, j * kernel : (j + 1) * kernel].reshape(c, -1)
            vectors.append(pool(cell, axis=1))
    return [v / max(np.linalg.norm(v), 1e-8) for v in vectors]


def expected(student, teacher, kernel, pool):
    total = 0.0
    for s, t in zip(student.numpy(), teacher.numpy()):
        s, t = nodes(s, kernel, pool), nodes(t, kernel, pool)
        total += sum((s[i] @ s[j] - t[i] @ t[j]) ** 2 for i in range(len(s)) for j in range(len(s))) / len(s) ** 2
    return total / len(student)


@pytest.mark.parametrize('cls', POOL)
@pytest.mark.parametrize('kernel', [1, 2, 3])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, kernel, cls):
    student, teacher = maps(*shape, channels=7)
    assert_value(cls(kernel), expected(student, teacher, kernel, POOL[cls]), student, teacher)


def test_two_nodes_by_hand():
    # The student's nodes are orthogonal, the teacher's equal: two of four similarities differ by one.
    student = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 2, 1, 2)
    assert PairWiseKDLoss(1)(student, torch.ones(1, 3, 1, 2)).item() == pytest.approx(0.5)


def test_nodes_at_the_edge_average_the_pixels_that_exist():
    pooled = PairWiseKDLoss(2).pool(torch.arange(63.0).reshape(1, 1, 7, 9))
    assert pooled.shape == (1, 1, 4, 5)
    assert pooled[0, 0, 0, 0] == (0 + 1 + 9 + 10) / 4
    assert pooled[0, 0, 3, 4] == 62


@pytest.mark.parametrize('shape', [(2, 2, 5, 5), (2, 8, 3, 3)], ids=['gram', 'direct'])
@pytest.mark.parametrize('cls', POOL)
def test_gradient(shape, cls):
    assert_gradient(cls(1), *maps(*shape, channels=3))


@pytest.mark.parametrize('pixels', [5, 6, 7, 60])
def test_the_gram_path_is_the_direct_path(pixels):
    """Up to 6 = 2 + 4 channels the matrices of P x P are formed, from 7 on they are not."""
    x, y = (unit(v.flatten(2)).requires_grad_() for v in maps(3, 2, 1, pixels, channels=4))
    direct = (x.transpose(1, 2) @ x - y.transpose(1, 2) @ y).square().sum((1, 2))
    value = gram_distance(x, y)
    torch.testing.assert_close(value, direct)
    torch.testing.assert_close(
        torch.autograd.grad(value.sum(), (x, y)), torch.autograd.grad(direct.sum(), (x, y)), rtol=1e-9, atol=1e-9
    )


def test_no_matrix_of_all_pairs_is_kept():
    student, teacher = (x.float() for x in maps(1, 4, 40, 40, channels=6))
    assert kept_floats(PairWiseKDLoss(1), student, teacher) < 1600**2 / 50


def test_few_nodes_need_no_matrix_of_all_channels():
    student, teacher = (x.float() for x in maps(1, 200, 1, 3))
    assert kept_floats(PairWiseKDLoss(1), student, teacher) < 200**2 / 10


def test_rounding_does_not_make_it_negative():
    for seed in range(20):
        student, _ = maps(1, 3, 9, 9, seed=seed)
        assert 0 <= PairWiseKDLoss(1)(student.float(), rotated(student).float()) < 1e-6


@pytest.mark.parametrize('size', [3, 12])
def test_bounds(size):
    student, teacher = maps(2, 4, size, size)
    opposite = student.clone()
    opposite[..., ::2] *= -1
    assert PairWiseKDLoss(1)(opposite[:, :1], student[:, :1].abs()) <= 4
    assert PairWiseKDLoss(1)(student.abs(), teacher.abs()) <= 1


@pytest.mark.parametrize('cls', POOL)
def test_the_scale_of_a_sample_does_not_matter(cls):
    student, teacher = maps(2, 4, 6, 6)
    scale = torch.tensor([0.3, 70.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    torch.testing.assert_close(cls()(student * scale, teacher), cls()(student, teacher))


def test_the_scale_of_a_pixel_does_not_matter_without_pooling():
    student, teacher = maps(2, 4, 6, 6)
    scale = torch.rand(2, 1, 6, 6, dtype=torch.float64) + 0.1
    torch.testing.assert_close(PairWiseKDLoss(1)(student * scale, teacher), PairWiseKDLoss(1)(student, teacher))


def test_rotating_the_channels_matters_to_maxima_only():
    student, teacher = maps(2, 4, 6, 6)
    torch.testing.assert_close(PairWiseKDLoss()(rotated(student), teacher), PairWiseKDLoss()(student, teacher))
    assert not torch.isclose(MaxPairWiseKDLoss()(rotated(student), teacher), MaxPairWiseKDLoss()(student, teacher))


def test_the_norm_is_differentiated():
    """The gradient is orthogonal to every node, since the length of a node does not matter."""
    student, teacher = maps(2, 4, 6, 6)
    radial = (gradient(PairWiseKDLoss(1), student, teacher) * student).sum(1)
    torch.testing.assert_close(radial, torch.zeros_like(radial), rtol=0, atol=1e-12)


@pytest.mark.parametrize('size', [2, 8], ids=['direct', 'gram'])
def test_zero_vectors_get_no_gradient(size):
    student, teacher = maps(1, 3, size, size)
    student[..., 0, 0] = 0
    grad = gradient(PairWiseKDLoss(1), student, teacher)
    assert grad.isfinite().all() and (grad[..., 0, 0] == 0).all() and grad.abs().sum() > 0


@pytest.mark.parametrize('cls', POOL)
def test_kernel_must_be_positive(cls):
    with pytest.raises(ValueError, match=f'{cls.__name__}: kernel must be >= 1'):
        cls(0)
