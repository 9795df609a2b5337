import math

import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, labels, maps, softmax

from mmseg_kd.losses import PseudoLabelLoss


def expected(student, teacher, y, class_weight=None):
    probabilities = softmax(student.numpy(), 1)
    total = weights = 0.0
    for n, i, j in np.ndindex(*y.shape):
        if y[n, i, j] != 255:
            said = np.argmax(teacher.numpy()[n, :, i, j])
            weight = 1.0 if class_weight is None else class_weight[said]
            total -= weight * np.log(probabilities[n, said, i, j])
            weights += weight
    return total / (weights or 1.0)


@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape):
    student, teacher = maps(*shape, scale=3.0)
    y = labels(shape[0], *shape[2:])
    assert_value(PseudoLabelLoss(), expected(student, teacher, y), student, teacher, y)


@pytest.mark.parametrize('shape', SHAPES)
def test_classes_with_weights_equal_the_formula(shape):
    student, teacher = maps(*shape, scale=3.0)
    y = labels(shape[0], *shape[2:])
    weights = [0.5 + (7 * c % 5) for c in range(shape[1])]
    loss = PseudoLabelLoss(class_weight=weights)
    assert_value(loss, expected(student, teacher, y, weights), student, teacher, y)
    counted = sum(weights[teacher[n, :, i, j].argmax()] for n, i, j in np.ndindex(*y.shape) if y[n, i, j] != 255)
    assert loss.denominator(student, teacher, y).item() == pytest.approx(counted, rel=1e-6)


def test_two_pixels_with_weights_by_hand():
    student = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    teacher = torch.tensor([[1.0, -1.0], [0.0, 7.0]]).reshape(1, 2, 1, 2)
    value = PseudoLabelLoss(class_weight=(1.0, 3.0))(student, teacher, torch.zeros(1, 1, 2))
    assert value.item() == pytest.approx((math.log(2) + 3 * math.log(4)) / 4)


def test_equal_weights_are_no_weights_and_weights_of_0_give_0():
    student, teacher = maps(2, 5, 4, 6)
    y = labels(2, 4, 6)
    torch.testing.assert_close(PseudoLabelLoss([0.3] * 5)(student, teacher, y), PseudoLabelLoss()(student, teacher, y))
    assert PseudoLabelLoss([0.0] * 5)(student, teacher, y) == 0
    assert gradient(PseudoLabelLoss([0.0] * 5), student, teacher, y).eq(0).all()


def test_gradient_with_weights():
    assert_gradient(PseudoLabelLoss([0.5, 2.0, 1.0]), *maps(2, 3, 2, 3), labels(2, 2, 3))


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r'class_weight must be >= 0, but is \[1, -1\]'):
        PseudoLabelLoss([1, -1])
    loss = PseudoLabelLoss([1.0, 2.0])
    with pytest.raises(ValueError, match='one value for each of the 3 classes, but has 2'):
        loss.setup(*maps(1, 3, 2, 2))


def test_two_pixels_by_hand():
    student = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    teacher = torch.tensor([[1.0, -1.0], [0.0, 7.0]]).reshape(1, 2, 1, 2)
    # The teacher says 0 and 1, to which the student gives 1/2 and 1/4.
    value = PseudoLabelLoss()(student, teacher, torch.zeros(1, 1, 2))
    assert value.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_gradient():
    assert_gradient(PseudoLabelLoss(), *maps(2, 3, 2, 3), labels(2, 2, 3))


def test_the_true_class_is_not_read():
    student, teacher = maps(2, 5, 4, 6)
    y = labels(2, 4, 6)
    others = torch.where(y == 255, 255, 0)
    assert torch.equal(PseudoLabelLoss()(student, teacher, y), PseudoLabelLoss()(student, teacher, others))


def test_how_sure_the_teacher_is_does_not_matter():
    student, teacher = maps(2, 5, 4, 6)
    y = labels(2, 4, 6)
    assert torch.equal(PseudoLabelLoss()(student, teacher, y), PseudoLabelLoss()(student, 0.01 * teacher, y))


def test_every_pixel_that_counts_weighs_the_same_in_a_batch():
    """The mean is over the pixels of the batch, not over images."""
    student, teacher = maps(2, 3, 2, 2)
    y = torch.tensor([[[0, 0], [0, 0]], [[0, 255], [255, 255]]])
    values = [PseudoLabelLoss()(student[n : n + 1], teacher[n : n + 1], y[n : n + 1]) for n in range(2)]
    torch.testing.assert_close(PseudoLabelLoss()(student, teacher, y), (4 * values[0] + values[1]) / 5)


def test_class_255_is_a_class_like_any_other():
    student, teacher = maps(1, 300, 1, 2)
    teacher[:, 255] = 100.0
    y = torch.zeros(1, 1, 2)
    assert_value(PseudoLabelLoss(), expected(student, teacher, y), student, teacher, y)


def test_huge_logits_stay_finite():
    student, teacher = (x.sign().float() * 1e4 for x in maps(1, 4, 3, 3))
    y = torch.zeros(1, 3, 3)
    assert PseudoLabelLoss()(student, teacher, y).isfinite()
    assert gradient(PseudoLabelLoss(), student, teacher, y).isfinite().all()
