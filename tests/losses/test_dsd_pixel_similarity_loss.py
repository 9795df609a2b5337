from itertools import combinations

import numpy as np
import pytest
import torch
from reference import SHAPES, assert_value, maps, rotated

from mmseg_kd.losses import DSDPixelSimilarityLoss


def layers(n, h, w, channels, seed=0):
    return tuple(maps(n, c, h, w, seed=seed + i)[0] for i, c in enumerate(channels))


def normalized(v):
    length = np.linalg.norm(v)
    return v / length if length > 1e-8 else 0 * v


def expected(student, teacher):
    pairs = list(combinations(range(len(student)), 2))
    total = 0.0
    for n in range(len(student[0])):
        s, t = ([normalized((x[n].numpy() ** 2).mean(0).ravel()) for x in maps] for maps in (student, teacher))
        for i, j in pairs:
            total += ((normalized(s[j] - s[i]) - normalized(t[j] - t[i])) ** 2).mean()
    return total / len(student[0]) / len(pairs)


@pytest.mark.parametrize('channels', [(3, 5), (2, 4, 7), (1, 2, 3, 4)])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, channels):
    n, _, h, w = shape
    student, teacher = layers(n, h, w, channels), layers(n, h, w, channels[::-1], seed=10)
    assert_value(DSDPixelSimilarityLoss(), expected(student, teacher), student, teacher)


def test_two_pixels_by_hand():
    # Attention moves from the first pixel to the second in the student, and back in the teacher.
    left, right = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 3.0]]]])
    # Residuals (-1, 1) / sqrt 2 and (1, -1) / sqrt 2 differ by sqrt 2 at each pixel: the bound 4 / P.
    assert DSDPixelSimilarityLoss()((left, right), (right, left)).item() == pytest.approx(2.0)


def test_gradient():
    teacher = layers(2, 2, 3, (4, 4, 4), seed=10)
    student = [x.requires_grad_() for x in layers(2, 2, 3, (1, 2, 3))]
    assert torch.autograd.gradcheck(lambda *s: DSDPixelSimilarityLoss()(s, teacher), student)


def test_every_layer_gets_a_gradient_and_the_teacher_none():
    student, teacher = ([x.requires_grad_() for x in layers(2, 3, 4, (2, 3, 4), seed=i)] for i in (0, 10))
    DSDPixelSimilarityLoss()(tuple(student), tuple(teacher)).backward()
    assert all(x.grad.abs().sum() > 0 for x in student)
    assert all(x.grad is None for x in teacher)


def test_scale_of_a_layer_and_rotation_do_not_matter():
    student, teacher = layers(2, 3, 4, (2, 3, 4)), layers(2, 3, 4, (2, 3, 4), seed=10)
    scales = torch.tensor([1e-3, 40.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    changed = (student[0], scales * student[1], rotated(student[2]))
    loss = DSDPixelSimilarityLoss()
    torch.testing.assert_close(loss(changed, teacher), loss(student, teacher))


def test_the_order_of_layers_does_not_matter():
    student, teacher = layers(2, 3, 4, (2, 3, 4)), layers(2, 3, 4, (5, 1, 4), seed=10)
    loss, order = DSDPixelSimilarityLoss(), (2, 0, 1)
    torch.testing.assert_close(loss(*(tuple(x[i] for i in order) for x in (student, teacher))), loss(student, teacher))


def test_layers_that_attend_alike_have_a_finite_gradient():
    student, teacher = layers(2, 3, 4, (2, 3)), layers(2, 3, 4, (2, 3), seed=10)
    a, b, c = (x.clone().requires_grad_() for x in (*student, student[0]))
    DSDPixelSimilarityLoss()((a, b, c), (*teacher, teacher[0])).backward()
    assert all(x.grad.isfinite().all() and x.grad.abs().max() < 1 for x in (a, b, c))
    assert b.grad.abs().sum() > 0


def test_the_same_layer_twice_is_refused():
    a, b = layers(2, 3, 4, (2, 3))
    with pytest.raises(ValueError, match='DSDPixelSimilarityLoss needs different layers, but one student layer'):
        DSDPixelSimilarityLoss()((a, b, a), (a, b, a))


def test_one_map_is_refused():
    a, b = maps(2, 3, 4, 5)
    for student, teacher in ((a, b), ((a,), (b,))):
        with pytest.raises(ValueError, match='DSDPixelSimilarityLoss compares two or more layers .* list of paths'):
            DSDPixelSimilarityLoss()(student, teacher)


@pytest.mark.parametrize('other', [(3, 8), (6, 4)])
def test_layers_that_share_one_side_only_are_refused(other):
    student = layers(2, 3, 4, (2,)) + layers(2, *other, (2,))
    with pytest.raises(ValueError, match='one spatial size'):
        DSDPixelSimilarityLoss()(student, student)


def test_layers_must_share_one_grid():
    student = layers(2, 3, 4, (2,)) + layers(2, 6, 8, (2,))
    with pytest.raises(ValueError, match=r'one spatial size, but those of the student are \[\(3, 4\), \(6, 8\)\]'):
        DSDPixelSimilarityLoss()(student, student)
