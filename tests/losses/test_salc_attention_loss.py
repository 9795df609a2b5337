import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, maps, rotated, softmax
from test_edges import mean_over_cells

from mmseg_kd.losses import SALCAttentionLoss


def attention(x, tau):
    x = x.reshape(len(x), -1)
    return [softmax(np.array([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in x.T]) / tau, 0) for a in x.T]


def expected(student, teacher, tau):
    return np.mean(
        [sum(p * np.log(p / q)) for s, t in zip(student, teacher) for p, q in zip(attention(t, tau), attention(s, tau))]
    )


@pytest.mark.parametrize('tau', [0.1, 2.0])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, tau):
    student, teacher = maps(*shape, channels=7)
    assert_value(SALCAttentionLoss(temperature=tau), expected(student.numpy(), teacher.numpy(), tau), student, teacher)


@pytest.mark.parametrize('size', [(3, 4), (9, 2), (1, 1)])
def test_large_maps_are_averaged(size):
    student, teacher = maps(2, 3, 7, 9, channels=5)
    cells = min(7, size[0]), min(9, size[1])
    pooled = [
        np.array([[mean_over_cells(c, *cells) for c in image] for image in x.numpy()]) for x in (student, teacher)
    ]
    assert_value(SALCAttentionLoss(size), expected(*pooled, 0.1), student, teacher)


def test_size_bounds_the_maps():
    student, teacher = maps(1, 2, 40, 80)
    assert kept_floats(SALCAttentionLoss((5, 10)), student, teacher) < 5 * (5 * 10) ** 2 < (40 * 80) ** 2


def test_two_pixels_by_hand():
    # The teacher's pixels are alike: half and half. The student's are orthogonal: e^(1/tau) to 1.
    student, teacher = torch.eye(2).reshape(1, 2, 1, 2), torch.ones(1, 1, 1, 2)
    p = np.e / (np.e + 1)
    value = 0.5 * np.log(0.5 / p) + 0.5 * np.log(0.5 / (1 - p))
    assert SALCAttentionLoss(temperature=1.0)(student, teacher).item() == pytest.approx(value, rel=1e-5)


def test_gradient():
    assert_gradient(SALCAttentionLoss((2, 3)), *maps(2, 3, 3, 4))


def test_the_scale_of_a_pixel_and_rotations_do_not_matter():
    student, teacher = maps(2, 4, 5, 6)
    scale = torch.rand(2, 1, 5, 6, dtype=torch.float64) + 0.1
    torch.testing.assert_close(
        SALCAttentionLoss()(rotated(scale * student, 1), rotated(teacher, 2)), SALCAttentionLoss()(student, teacher)
    )


def test_zeros_get_no_gradient():
    _, teacher = maps(2, 4, 5, 6)
    assert (gradient(SALCAttentionLoss(), torch.zeros_like(teacher), teacher) == 0).all()


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(temperature=0.0), 'temperature must be > 0'),
        (dict(size=(4,)), 'size must be'),
        (dict(size=(0, 4)), r'size must be \(height, width\), both >= 1'),
    ],
)
def test_settings_must_make_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        SALCAttentionLoss(**settings)
