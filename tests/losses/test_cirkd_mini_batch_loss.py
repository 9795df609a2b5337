import math

import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, maps, rotated, softmax

from mmseg_kd.losses import CIRKDMiniBatchLoss


def vectors(x, kernel):
    """Unit vectors (P, C) of one sample (C, H, W)."""
    c, h, w = x.shape
    cells = [
        x[:, kernel * i : kernel * (i + 1), kernel * j : kernel * (j + 1)].reshape(c, -1).mean(1)
        for i in range(math.ceil(h / kernel))
        for j in range(math.ceil(w / kernel))
    ]
    return np.stack([v / np.linalg.norm(v) for v in cells])


def expected(student, teacher, tau, kernel):
    """One image pair after the other, as the paper has it."""
    s, t = ([vectors(x, kernel) for x in maps.numpy()] for maps in (student, teacher))
    total = 0.0
    for i in range(len(s)):
        for j in range(len(s)):
            q, p = softmax(s[i] @ s[j].T / tau, 1), softmax(t[i] @ t[j].T / tau, 1)
            total += (p * np.log(p / q)).sum() / len(p)
    return total / len(s) ** 2


@pytest.mark.parametrize('tau, kernel, rows', [(0.1, 1, 7), (0.5, 1, 1000), (0.1, 2, 7), (0.2, 4, 1)])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, tau, kernel, rows):
    student, teacher = maps(*shape, channels=7)
    assert_value(CIRKDMiniBatchLoss(tau, kernel, rows), expected(student, teacher, tau, kernel), student, teacher)


def test_two_pixels_by_hand():
    # The teacher's pixels are equal: (1/2, 1/2) each. The student's are orthogonal: (e, 1) / (e + 1) at temperature 1.
    student, teacher = torch.eye(2).reshape(1, 2, 1, 2), torch.ones(1, 3, 1, 2)
    value = CIRKDMiniBatchLoss(1.0)(student, teacher)
    assert value.item() == pytest.approx(np.log((np.e + 1) / 2) - 0.5, rel=1e-5)


@pytest.mark.parametrize('kernel', [1, 2])
def test_gradient(kernel):
    assert_gradient(CIRKDMiniBatchLoss(0.3, kernel, rows=4), *maps(2, 3, 3, 2, channels=4))


@pytest.mark.parametrize('rows', [1, 5, 39])
def test_rows_change_neither_value_nor_gradient(rows):
    student, teacher = maps(2, 4, 4, 5)
    some, all_at_once = CIRKDMiniBatchLoss(rows=rows), CIRKDMiniBatchLoss(rows=40)
    torch.testing.assert_close(some(student, teacher), all_at_once(student, teacher), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        gradient(some, student, teacher), gradient(all_at_once, student, teacher), rtol=1e-10, atol=1e-14
    )


def test_no_map_of_all_pairs_is_kept():
    student, teacher = (x.float() for x in maps(2, 4, 20, 20))
    assert kept_floats(CIRKDMiniBatchLoss(rows=100), student, teacher) < 3 * student.numel() < 800**2 / 10


def test_the_scale_of_a_pixel_does_not_matter():
    student, teacher = maps(2, 4, 3, 5)
    scale = torch.rand(2, 1, 3, 5, dtype=torch.float64) + 0.1
    loss = CIRKDMiniBatchLoss()
    torch.testing.assert_close(loss(student * scale, 5 * teacher), loss(student, teacher))


def test_rotation_does_not_matter():
    student, teacher = maps(2, 4, 3, 5)
    loss = CIRKDMiniBatchLoss()
    torch.testing.assert_close(loss(rotated(student, 1), rotated(teacher, 2)), loss(student, teacher))


def test_the_places_of_pixels_do_not_matter():
    student, teacher = maps(2, 4, 3, 5)
    order = torch.randperm(15)
    moved = [x.flatten(2)[..., order].reshape(x.shape) for x in (student, teacher)]
    torch.testing.assert_close(CIRKDMiniBatchLoss()(*moved), CIRKDMiniBatchLoss()(student, teacher))


def test_images_are_compared_with_each_other():
    """Turning the student's second image as a whole leaves its own relations, and changes those to the first."""
    student, teacher = maps(2, 4, 3, 5)
    turned = torch.cat([student[:1], rotated(student[1:])])
    alone = [CIRKDMiniBatchLoss()(x[1:], teacher[1:]) for x in (student, turned)]
    torch.testing.assert_close(*alone)
    together = [CIRKDMiniBatchLoss()(x, teacher) for x in (student, turned)]
    assert abs(together[0] - together[1]) > 1e-3


def test_zero_vectors_get_no_gradient():
    student, teacher = maps(1, 4, 3, 3)
    student[..., 1, 1] = 0
    grad = gradient(CIRKDMiniBatchLoss(), student, teacher)
    assert grad.isfinite().all() and (grad[..., 1, 1] == 0).all() and grad.abs().sum() > 0


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(temperature=0.0), 'temperature must be >= 0.003'),
        (dict(kernel=0), 'kernel and rows must be >= 1, but are 0 and 2048'),
        (dict(rows=0), 'kernel and rows must be >= 1, but are 1 and 0'),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=f'CIRKDMiniBatchLoss: {message}'):
        CIRKDMiniBatchLoss(**arguments)
