import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, labels, maps, rotated

from mmseg_kd.losses import IDDInterClassDistanceLoss


def expected(student, teacher, y, min_pixels=1):
    images = []
    for s, t, k in zip(student.numpy(), teacher.numpy(), y.numpy()):
        present = [c for c in np.unique(k) if c != 255 and (k == c).sum() >= min_pixels]
        centers = [[x[:, k == c].mean(1) for c in present] for x in (s, t)]
        squares = [
            (np.linalg.norm(centers[0][i] - centers[0][j]) - np.linalg.norm(centers[1][i] - centers[1][j])) ** 2
            for i in range(len(present))
            for j in range(i)
        ]
        if squares:
            images.append(np.mean(squares))
    return np.mean(images) if images else 0.0


@pytest.mark.parametrize('classes', [2, 19, 150])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, classes):
    student, teacher = maps(*shape, channels=7)
    y = labels(shape[0], *shape[2:], classes=classes)
    assert_value(IDDInterClassDistanceLoss(), expected(student, teacher, y), student, teacher, y)


def test_small_classes_do_not_occur():
    student, teacher = maps(2, 3, 5, 6)
    y = labels(2, 5, 6, classes=9)
    values = [expected(student, teacher, y, n) for n in (1, 4)]
    assert values[0] != values[1]
    assert_value(IDDInterClassDistanceLoss(min_pixels=4), values[1], student, teacher, y)


def test_images_without_a_pair_are_not_counted():
    student, teacher = maps(3, 4, 3, 3)
    y = labels(3, 3, 3)
    y[0], y[2] = 255, torch.where(y[2] == 255, 255, 7)
    grad = gradient(IDDInterClassDistanceLoss(), student, teacher, y)
    assert (grad[[0, 2]] == 0).all() and grad[1].abs().sum() > 0
    assert IDDInterClassDistanceLoss()(student, teacher, y).item() == pytest.approx(
        IDDInterClassDistanceLoss()(student[1:2], teacher[1:2], y[1:2]).item()
    )
    assert IDDInterClassDistanceLoss()(student[2:], teacher[2:], y[2:]).item() == 0


def test_two_pixels_by_hand():
    student = torch.tensor([0.0, 3.0]).reshape(1, 1, 1, 2)
    teacher = torch.tensor([[0.0, 3.0], [0.0, 4.0]]).reshape(1, 2, 1, 2)
    assert IDDInterClassDistanceLoss()(student, teacher, torch.tensor([[[7, 2]]])).item() == pytest.approx((5 - 3) ** 2)


def test_gradient():
    assert_gradient(IDDInterClassDistanceLoss(), *maps(2, 3, 3, 4), labels(2, 3, 4, classes=3))


def test_a_multiple_of_the_teacher():
    _, teacher = maps(1, 4, 5, 5)
    y = labels(1, 5, 5)
    value = IDDInterClassDistanceLoss()(0 * teacher, teacher, y)
    torch.testing.assert_close(IDDInterClassDistanceLoss()(3 * teacher, teacher, y), 4 * value)


def test_shifts_rotations_and_names_do_not_matter():
    student, teacher = maps(2, 4, 3, 4)
    y = labels(2, 3, 4, classes=3)
    value = IDDInterClassDistanceLoss()(student, teacher, y)
    names = torch.arange(256)
    names[:3] = torch.tensor([254, 0, 77])
    moved = rotated(student, 1) + torch.randn(2, 4, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(IDDInterClassDistanceLoss()(moved, rotated(teacher, 2), names[y].byte()), value)


def test_far_from_zero_close_centers_keep_their_digits():
    student, teacher = maps(1, 4, 3, 4)
    y = labels(1, 3, 4, classes=3)
    value = IDDInterClassDistanceLoss()(student.float() + 1000, teacher.float() + 1000, y)
    assert value.item() == pytest.approx(expected(student, teacher, y), rel=1e-2)


def test_centers_that_coincide_get_no_gradient():
    _, teacher = maps(1, 4, 3, 4)
    assert (gradient(IDDInterClassDistanceLoss(), torch.ones_like(teacher), teacher, labels(1, 3, 4)) == 0).all()


def test_min_pixels_must_be_positive():
    with pytest.raises(ValueError, match='IDDInterClassDistanceLoss: min_pixels must be >= 1'):
        IDDInterClassDistanceLoss(0)
