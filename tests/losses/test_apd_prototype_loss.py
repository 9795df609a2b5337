import pytest
import torch
from apd_formulas import prototypes
from reference import SHAPES, assert_gradient, assert_value, gradient, labels, maps, rotated

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


def test_prototypes_are_of_the_batch():
    student, teacher = maps(2, 4, 3, 3)
    y = labels(2, 3, 3, classes=2, void=0)
    each = [APDPrototypeLoss()(student[i:i + 1], teacher[i:i + 1], y[i:i + 1]) for i in range(2)]
    assert not torch.isclose(APDPrototypeLoss()(student, teacher, y), sum(each) / 2)
    glued = [x.transpose(0, 1).flatten(1, 2)[None] for x in (student, teacher)]
    torch.testing.assert_close(APDPrototypeLoss()(student, teacher, y), APDPrototypeLoss()(*glued, y.flatten(0, 1)[None]))


def test_names_of_classes_the_scale_of_a_pixel_and_a_common_rotation_do_not_matter():
    student, teacher = maps(2, 4, 3, 4)
    y = labels(2, 3, 4, classes=3)
    value = APDPrototypeLoss()(student, teacher, y)
    names = torch.arange(256)
    names[:3] = torch.tensor([254, 0, 77])
    torch.testing.assert_close(APDPrototypeLoss()(student, teacher, names[y].byte()), value)
    scale = torch.rand(2, 1, 3, 4, dtype=torch.float64) + 0.1
    torch.testing.assert_close(APDPrototypeLoss()(rotated(scale * student), rotated(teacher), y), value)


def test_classes_that_do_not_occur_change_nothing():
    student, teacher = maps(2, 4, 3, 4)
    y = labels(2, 3, 4, classes=3)
    told = APDPrototypeLoss()
    told.classes = 3
    torch.testing.assert_close(told(student, teacher, y), APDPrototypeLoss()(student, teacher, y))


def test_zeros_get_no_gradient():
    _, teacher = maps(2, 4, 3, 4)
    assert (gradient(APDPrototypeLoss(), torch.zeros_like(teacher), teacher, labels(2, 3, 4)) == 0).all()
