import math

import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, maps, softmax

from mmseg_kd.losses import CosineDSDCategorySimilarityLoss, DSDCategorySimilarityLoss

BOTH = [DSDCategorySimilarityLoss, CosineDSDCategorySimilarityLoss]


def correlation(x, tau, cosine):
    """G of one sample (C, H, W), cell by cell."""
    c, h, w = x.shape
    cells = [
        x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(c, -1).mean(1)
        for i in range(math.ceil(h / 2))
        for j in range(math.ceil(w / 2))
    ]
    q = softmax(np.stack(cells, axis=1) / tau, 1)
    if cosine:
        q = q / np.linalg.norm(q, axis=1, keepdims=True)
    return q @ q.T


def expected(student, teacher, tau, cosine):
    return np.mean(
        [
            (correlation(s, tau, cosine) - correlation(t, tau, cosine)) ** 2
            for s, t in zip(student.numpy(), teacher.numpy())
        ]
    )


@pytest.mark.parametrize('cls', BOTH)
@pytest.mark.parametrize('tau', [1.0, 4.0])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, tau, cls):
    student, teacher = maps(*shape, scale=3.0)
    cosine = cls is CosineDSDCategorySimilarityLoss
    assert_value(cls(tau), expected(student, teacher, tau, cosine), student, teacher)


def test_two_classes_by_hand():
    # Two cells; the student's classes are in one place (G = 1 everywhere), the teacher's in two (G = identity).
    far = 1e4
    together = torch.tensor([[far, far, 0.0, 0.0]] * 2).reshape(1, 2, 1, 4)
    apart = torch.tensor([[far, far, 0.0, 0.0], [0.0, 0.0, far, far]]).reshape(1, 2, 1, 4)
    for cls in BOTH:
        assert cls()(together, apart).item() == pytest.approx(0.5)


@pytest.mark.parametrize('cls', BOTH)
def test_gradient(cls):
    assert_gradient(cls(), *maps(2, 3, 3, 5))


@pytest.mark.parametrize('cls', BOTH)
def test_a_constant_per_class_changes_nothing(cls):
    student, teacher = maps(2, 5, 6, 7)
    shifted = student + torch.randn(2, 5, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(cls()(shifted, teacher), cls()(student, teacher))


@pytest.mark.parametrize('cls', BOTH)
def test_the_places_of_cells_do_not_matter(cls):
    student, teacher = maps(2, 5, 4, 6)
    flipped = [x.flip(2, 3) for x in (student, teacher)]
    torch.testing.assert_close(cls()(*flipped), cls()(student, teacher))


def test_the_published_formula_fades_with_the_size_of_the_map_and_cosines_do_not():
    small, large = (maps(1, 5, size, size, scale=5.0) for size in (8, 64))
    faded, kept = (gradient(cls(), *large).norm() / gradient(cls(), *small).norm() for cls in BOTH)
    assert faded < 1e-3 and kept > 0.05


@pytest.mark.parametrize('cls', BOTH)
def test_huge_logits_stay_finite(cls):
    student, teacher = (1e4 * x.float() for x in maps(1, 4, 5, 5))
    assert 0 <= cls()(student, teacher) <= 1
    assert gradient(cls(), student, teacher).isfinite().all()


@pytest.mark.parametrize('cls', BOTH)
def test_temperature_must_be_positive(cls):
    with pytest.raises(ValueError, match=f'{cls.__name__}: temperature must be > 0'):
        cls(0.0)
