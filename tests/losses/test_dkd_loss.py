import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, labels, maps, softmax

from mmseg_kd.losses import DKDLoss, PixelWiseKDLoss


def kl(p, q):
    return sum(a * np.log(a / b) for a, b in zip(p, q))


def expected(student, teacher, y, alpha, beta, tau):
    total, count = 0.0, 0
    for n, i, j in np.ndindex(*y.shape):
        k = int(y[n, i, j])
        if k == 255:
            continue
        zs, zt = (x[n, :, i, j].numpy() / tau for x in (student, teacher))
        ps, pt = softmax(zs, 0)[k], softmax(zt, 0)[k]
        total += alpha * kl([pt, 1 - pt], [ps, 1 - ps])
        total += beta * kl(softmax(np.delete(zt, k), 0), softmax(np.delete(zs, k), 0))
        count += 1
    return tau**2 * total / max(count, 1)


def example(*shape, seed=0, scale=2.0):
    return (*maps(*shape, seed=seed, scale=scale), labels(shape[0], *shape[2:], classes=shape[1], seed=seed))


@pytest.mark.parametrize('arguments', [(1.0, 2.0, 1.0), (0.0, 8.0, 4.0), (3.0, 0.0, 2.0)])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, arguments):
    student, teacher, y = example(*shape)
    y[0, 0, 0] = shape[1] - 1
    assert_value(DKDLoss(*arguments), expected(student, teacher, y, *arguments), student, teacher, y)


def test_three_classes_by_hand():
    # Teacher (1/2, 3/8, 1/8), student uniform, label 0.
    teacher = torch.tensor([4.0, 3.0, 1.0]).log().reshape(1, 3, 1, 1)
    y = torch.zeros(1, 1, 1, dtype=torch.long)
    target = 0.5 * np.log(1.5) + 0.5 * np.log(0.75)
    others = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    value = DKDLoss(alpha=1.0, beta=2.0)(torch.zeros(1, 3, 1, 1), teacher, y)
    assert value.item() == pytest.approx(target + 2 * others, rel=1e-5)


@pytest.mark.parametrize('arguments', [(1.0, 0.0), (0.0, 1.0), (1.0, 2.0, 3.0)])
def test_gradient(arguments):
    assert_gradient(DKDLoss(*arguments), *example(2, 4, 2, 3))


def test_the_parts_add_up_to_the_divergence_of_all_classes():
    """KL = target + (1 - b) others, pixel by pixel."""
    student, teacher = maps(1, 6, 1, 1)
    y = torch.tensor([[[4]]])
    share = 1 - teacher.softmax(1)[0, 4].item()
    torch.testing.assert_close(DKDLoss(1.0, share)(student, teacher, y), PixelWiseKDLoss()(student, teacher))


def test_two_classes_have_no_others():
    student, teacher, y = example(2, 2, 3, 4)
    assert DKDLoss(0.0, 5.0)(student, teacher, y) == 0
    assert (gradient(DKDLoss(0.0, 5.0), student, teacher, y) == 0).all()


def test_the_others_do_not_see_the_label_and_the_label_sees_the_rest_as_one():
    student, teacher, y = example(1, 5, 3, 4)
    y[y == 255] = 0
    bonus = torch.zeros_like(student).scatter(1, y[:, None], 3000.0)
    torch.testing.assert_close(DKDLoss(0.0, 1.0)(student + bonus, teacher, y), DKDLoss(0.0, 1.0)(student, teacher, y))
    assert (gradient(DKDLoss(0.0, 1.0), student, teacher, y).gather(1, y[:, None]) == 0).all()
    grad = gradient(DKDLoss(1.0, 0.0), student, teacher, y)
    others = student.scatter(1, y[:, None], -torch.inf).softmax(1)
    torch.testing.assert_close(grad.scatter(1, y[:, None], 0.0), -others * grad.gather(1, y[:, None]))


@pytest.mark.parametrize('scale', [1e3, 1e4])
def test_huge_logits_stay_finite(scale):
    student, teacher = (scale * x.sign().float() for x in maps(1, 4, 5, 5))
    y = labels(1, 5, 5, classes=4)
    assert DKDLoss()(student, teacher, y).isfinite()
    assert gradient(DKDLoss(), student, teacher, y).isfinite().all()


def test_a_sure_teacher_still_teaches_the_others():
    """1 - b underflows to 0 in float32: the logarithm of a sum of probabilities would be -inf."""
    teacher = torch.tensor([200.0, 1.0, 0.0]).reshape(1, 3, 1, 1)
    student = torch.tensor([150.0, 0.0, 1.0]).reshape(1, 3, 1, 1)
    y = torch.zeros(1, 1, 1, dtype=torch.long)
    p = 1 / (1 + np.exp(-1))
    assert DKDLoss(1.0, 1.0)(student, teacher, y).item() == pytest.approx(2 * p - 1, rel=1e-5)


@pytest.mark.parametrize('y', [torch.tensor([[[5]]]), torch.tensor([[[-1]]])])
def test_a_label_without_logit_is_no_void(y):
    with pytest.raises(RuntimeError, match='out of bounds'):
        DKDLoss()(torch.zeros(1, 5, 1, 1), torch.zeros(1, 5, 1, 1), y)


def test_one_channel_is_refused():
    with pytest.raises(ValueError, match='DKDLoss .* less than 2 channels, but got 1; read "logits"'):
        DKDLoss()(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long))


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(temperature=-1.0), 'temperature must be > 0, but is -1.0'),
        (dict(beta=-1.0), 'alpha and beta must be >= 0, but are 1.0 and -1.0'),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=f'DKDLoss: {message}'):
        DKDLoss(**arguments)
