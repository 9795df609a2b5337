import pytest
import torch
from apd_formulas import prototypes
from reference import SHAPES, assert_gradient, assert_value, labels, maps

from mmseg_kd.losses import APDPrototypeLoss


@pytest.mark.parametrize('classes', [2, 19, 150])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, classes):
    student, teacher = maps(*shape)
    y = labels(shape[0], *shape[2:], classes=classes)
    y[0, 0, 0] = classes - 1
    assert_value(APDPrototypeLoss(), prototypes(student, teacher, y), student, teacher, y)


def test_gradient():
    assert_gradient(APDPrototypeLoss(), *maps(2, 3, 3, 4), labels(2, 3, 4, classes=3))


def test_two_pixels_by_hand():
    """Prototypes are the pixels; the teacher's are orthogonal, the student's the same."""
    teacher, student = torch.eye(2).reshape(1, 2, 1, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    value = APDPrototypeLoss()(student, teacher, torch.tensor([[[0, 1]]]))
    assert value.item() == pytest.approx(0.5 * (0 + 1) / 2)


def test_prototypes_lie_between_zero_and_one():
    student, _ = maps(2, 4, 3, 4)
    assert APDPrototypeLoss()(student, -student, labels(2, 3, 4)).item() == pytest.approx(1)
