import numpy as np
import pytest
import torch
from apd_formulas import context
from reference import SHAPES, assert_gradient, assert_value, gradient, labels, maps

from mmseg_kd.losses import APDContextLoss


@pytest.mark.parametrize('classes', [2, 19, 150])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, classes):
    student, teacher = maps(*shape)
    y = labels(shape[0], *shape[2:], classes=classes)
    y[0, 0, 0] = classes - 1
    assert_value(APDContextLoss(), context(student, teacher, y, 10), student, teacher, y)
    assert_value(APDContextLoss(0.7), context(student, teacher, y, 0.7), student, teacher, y)


def test_gradient():
    assert_gradient(APDContextLoss(), *maps(2, 3, 3, 4), labels(2, 3, 4, classes=3))


def test_two_pixels_by_hand():
    """Prototypes are the pixels; the teacher's are orthogonal, the student's the same. Two classes occur."""
    teacher, student = torch.eye(2).reshape(1, 2, 1, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    p = 1 / (1 + np.exp(-10))
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    value = APDContextLoss()(student, teacher, torch.tensor([[[0, 1]]]))
    assert value.item() == pytest.approx((np.log(2) - entropy) / 2, rel=1e-5)


def test_it_is_divided_by_the_classes_that_occur_not_by_those_that_could():
    """As the published code: a mean over pixels and over the prototypes of the batch, whatever the data set has."""
    student, teacher = maps(2, 4, 3, 3)
    y = labels(2, 3, 3, classes=3)
    few, many = APDContextLoss(), APDContextLoss()
    few.classes, many.classes = 3, 150
    torch.testing.assert_close(few(student, teacher, y), many(student, teacher, y))


def test_one_class_has_no_context():
    student, teacher = maps(2, 4, 3, 3)
    y = labels(2, 3, 3, classes=1)
    assert APDContextLoss()(student, teacher, y).item() == 0
    assert (gradient(APDContextLoss(), student, teacher, y) == 0).all()


def test_scale_must_be_positive():
    with pytest.raises(ValueError, match='APDContextLoss: scale must be > 0'):
        APDContextLoss(0)
