import numpy as np
import pytest
import torch
from apd_formulas import context
from reference import SHAPES, assert_gradient, assert_value, gradient, labels, maps, rotated

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
    """Prototypes are the pixels; the teacher's are orthogonal, the student's the same."""
    teacher, student = torch.eye(2).reshape(1, 2, 1, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    p = 1 / (1 + np.exp(-10))
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    value = APDContextLoss()(student, teacher, torch.tensor([[[0, 1]]]))
    assert value.item() == pytest.approx(np.log(2) - entropy, rel=1e-5)


def test_one_class_has_no_context():
    student, teacher = maps(2, 4, 3, 3)
    y = labels(2, 3, 3, classes=1)
    assert APDContextLoss()(student, teacher, y).item() == 0
    assert (gradient(APDContextLoss(), student, teacher, y) == 0).all()


def test_prototypes_are_of_the_batch():
    student, teacher = maps(2, 4, 3, 3)
    y = labels(2, 3, 3, classes=2, void=0)
    each = [APDContextLoss()(student[i:i + 1], teacher[i:i + 1], y[i:i + 1]) for i in range(2)]
    assert not torch.isclose(APDContextLoss()(student, teacher, y), sum(each) / 2)
    glued = [x.transpose(0, 1).flatten(1, 2)[None] for x in (student, teacher)]
    torch.testing.assert_close(APDContextLoss()(student, teacher, y), APDContextLoss()(*glued, y.flatten(0, 1)[None]))


def test_names_of_classes_the_scale_of_a_pixel_and_a_common_rotation_do_not_matter():
    student, teacher = maps(2, 4, 3, 4)
    y = labels(2, 3, 4, classes=3)
    value = APDContextLoss()(student, teacher, y)
    names = torch.arange(256)
    names[:3] = torch.tensor([254, 0, 77])
    torch.testing.assert_close(APDContextLoss()(student, teacher, names[y].byte()), value)
    scale = torch.rand(2, 1, 3, 4, dtype=torch.float64) + 0.1
    torch.testing.assert_close(APDContextLoss()(rotated(scale * student), rotated(teacher), y), value)


def test_classes_that_do_not_occur_change_nothing():
    student, teacher = maps(2, 4, 3, 4)
    y = labels(2, 3, 4, classes=3)
    told = APDContextLoss()
    told.classes = 3
    torch.testing.assert_close(told(student, teacher, y), APDContextLoss()(student, teacher, y))


def test_zeros_get_no_gradient():
    _, teacher = maps(2, 4, 3, 4)
    assert (gradient(APDContextLoss(), torch.zeros_like(teacher), teacher, labels(2, 3, 4)) == 0).all()


def test_scale_must_be_positive():
    with pytest.raises(ValueError, match='APDContextLoss: scale must be > 0'):
        APDContextLoss(0)
