import numpy as np
import pytest
import torch
from reference import assert_value, gradient, maps

from mmseg_kd.losses import HalfMapPairWiseKDLoss, MaxPairWiseKDLoss


def nodes(x):
    """Maxima of one sample (C, H, W) over windows of half the sides, rounded down."""
    c, h, w = x.shape
    return [
        x[:, i : i + h // 2, j : j + w // 2].reshape(c, -1).max(1)
        for i in range(0, h, h // 2)
        for j in range(0, w, w // 2)
    ]


def published(student, teacher):
    """The gradient with respect to the student's nodes u (n, C), lengths taken for constants: G = U U^T, U = u / |u|,
    d/dU sum (G - T)^2 / n^2 = 4 (G - T) U / n^2, and dU/du = 1 / |u|."""
    lengths = np.linalg.norm(student, axis=1, keepdims=True)
    u, t = student / lengths, teacher / np.linalg.norm(teacher, axis=1, keepdims=True)
    return 4 * (u @ u.T - t @ t.T) @ u / lengths / len(u) ** 2


@pytest.mark.parametrize('shape, count', [((2, 5, 6, 8), 4), ((1, 3, 7, 9), 9), ((2, 4, 8, 5), 6), ((1, 3, 3, 5), 9)])
def test_equals_the_formula(shape, count):
    student, teacher = maps(*shape, channels=7)
    total = 0.0
    for s, t in zip(student.numpy(), teacher.numpy()):
        s, t = ([v / np.linalg.norm(v) for v in nodes(x)] for x in (s, t))
        assert len(s) == count
        total += sum((a @ b - c @ d) ** 2 for a, c in zip(s, t) for b, d in zip(s, t)) / count**2
    assert_value(HalfMapPairWiseKDLoss(), total / len(student), student, teacher)


def test_the_value_is_that_of_maxima_over_half_the_map():
    student, teacher = maps(2, 5, 8, 8, channels=7)
    torch.testing.assert_close(HalfMapPairWiseKDLoss()(student, teacher), MaxPairWiseKDLoss(4)(student, teacher))


def test_lengths_pass_no_gradient():
    """At 2 x 2 pixels the nodes are the pixels."""
    student, teacher = maps(1, 5, 2, 2, channels=7)
    cut = gradient(HalfMapPairWiseKDLoss(), student, teacher)
    expected = published(*(x[0].flatten(1).T.numpy() for x in (student, teacher)))
    np.testing.assert_allclose(cut[0].flatten(1).T.numpy(), expected, rtol=1e-9, atol=1e-12)
    whole = gradient(MaxPairWiseKDLoss(1), student, teacher)
    # The whole gradient is what is left of it at right angles to each pixel's features.
    unit = student / student.norm(dim=1, keepdim=True)
    torch.testing.assert_close(whole, cut - (cut * unit).sum(1, keepdim=True) * unit)
    assert (cut * unit).sum(1).abs().max() > 1e-3


@pytest.mark.parametrize('size', [(1, 1), (1, 4), (3, 2)])
def test_small_maps_have_nodes_too(size):
    student, teacher = maps(2, 3, *size)
    assert HalfMapPairWiseKDLoss()(student, teacher).isfinite()
