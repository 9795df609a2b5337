import numpy as np
import pytest
import torch
from reference import assert_gradient, assert_value, gradient, labels, maps, softmax
from test_edges import blocks
from test_edges import expected as expected_edges

from mmseg_kd.losses import BPKDLoss, CWDLoss


def kl(t, s):
    return sum(p * np.log(p / q) for p, q in zip(t, s))


def expected(student, teacher, y, edge, body, tau, kernel):
    n, c, h, w = student.shape
    valid = y[:, [i * y.shape[1] // h for i in range(h)]][:, :, [j * y.shape[2] // w for j in range(w)]].numpy() != 255
    shares = expected_edges(y, c, (h, w), kernel) * valid[:, None]
    total = 0.0
    for s, t, m, v in zip(student.numpy(), teacher.numpy(), shares, valid):
        for k in range(c):
            for i, j in zip(*np.nonzero(m[k])):
                phi = kl(softmax(m[:, i, j] * t[:, i, j] / tau, 0), softmax(m[:, i, j] * s[:, i, j] / tau, 0))
                total += edge * phi * m[k, i, j] / max(1, m[k].sum())
            if v.any():
                total += body / c * kl(*(softmax(((1 - m[k]) * x[k])[v] / tau, 0) for x in (t, s)))
    return tau**2 * total / n


@pytest.mark.parametrize(
    'settings',
    [
        dict(edge=100.0, body=20.0, temperature=4.0, kernel=7),
        dict(edge=1.0, body=0.0, temperature=0.5, kernel=3),
        dict(edge=0.0, body=1.0, temperature=0.5, kernel=3),
    ],
)
@pytest.mark.parametrize(
    'shape, full', [((2, 6, 4, 6), (32, 24)), ((1, 19, 3, 5), (17, 23)), ((1, 6, 5, 3), (5, 3)), ((2, 6, 1, 1), (9, 8))]
)
def test_equals_the_formula(shape, full, settings):
    student, teacher = maps(*shape, scale=3.0)
    y = blocks(shape[0], *full)
    assert_value(
        BPKDLoss(**settings),
        expected(student, teacher, y, settings['edge'], settings['body'], settings['temperature'], settings['kernel']),
        student,
        teacher,
        y,
    )


def test_defaults():
    student, teacher = maps(2, 6, 4, 6)
    y = blocks(2, 32, 24)
    assert BPKDLoss()(student, teacher, y).item() == pytest.approx(expected(student, teacher, y, 100, 20, 4, 7))


def test_one_class_alone_is_all_body():
    student, teacher = maps(2, 5, 6, 8)
    value = BPKDLoss(body=1.0)(student, teacher, torch.full((2, 48, 64), 3))
    torch.testing.assert_close(value, CWDLoss(4.0)(student, teacher))


def test_labels_keep_their_resolution():
    """An edge of six pixels is seen though the sampled labels would make it another."""
    student, teacher = maps(1, 2, 4, 4)
    y = torch.zeros(1, 32, 32, dtype=torch.long)
    y[..., 13:] = 1
    assert not torch.isclose(BPKDLoss()(student, teacher, y), BPKDLoss()(student, teacher, y[:, ::8, ::8]))


@pytest.mark.parametrize('edge, body', [(1.0, 0.0), (0.0, 1.0)], ids=['edge', 'body'])
def test_gradient(edge, body):
    assert_gradient(BPKDLoss(edge, body, 2.0, 3), *maps(2, 3, 3, 4), blocks(2, 9, 12, classes=3))


def test_classes_may_change_places():
    student, teacher = maps(2, 5, 4, 6)
    y = blocks(2, 32, 24)
    order = torch.tensor([3, 0, 4, 2, 1])
    names = torch.arange(256)
    names[order] = torch.arange(5)
    moved = BPKDLoss()(student[:, order], teacher[:, order], names[y])
    torch.testing.assert_close(moved, BPKDLoss()(student, teacher, y))


def test_an_image_of_void_counts_as_zero_in_the_mean():
    student, teacher = maps(2, 5, 4, 6)
    y = blocks(2, 32, 24)
    y[1] = 255
    grad = gradient(BPKDLoss(temperature=0.5), student, teacher, y)
    assert (grad[1] == 0).all() and grad.isfinite().all()
    torch.testing.assert_close(2 * BPKDLoss()(student, teacher, y), BPKDLoss()(student[:1], teacher[:1], y[:1]))


def test_far_from_all_edges_only_the_body_speaks():
    student, teacher = maps(1, 3, 1, 8)
    y = (torch.arange(64) >= 32).long().expand(1, 8, 64)
    assert gradient(BPKDLoss(body=0), student, teacher, y)[0, :, 0].abs().sum(0).nonzero().flatten().tolist() == [3, 4]


def test_huge_logits_stay_finite():
    student, teacher = (x.sign().float() * 1e4 for x in maps(1, 4, 3, 3))
    assert gradient(BPKDLoss(temperature=0.5), student, teacher, labels(1, 3, 3, classes=4)).isfinite().all()


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(temperature=0.0), 'temperature must be > 0'),
        (dict(kernel=4), 'kernel must be odd and >= 1'),
        (dict(kernel=-1), 'kernel must be odd'),
        (dict(edge=-1.0), 'edge and body must be >= 0'),
    ],
)
def test_settings_must_make_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        BPKDLoss(**settings)
