import pytest
import torch
from mmseg.registry import MODELS
from reference import SHAPES, assert_gradient, assert_value, gradient, labels, maps

from mmseg_kd.losses import ImageSemanticLoss


def expected(student, teacher):
    n, c = student.shape[:2]
    s, t = (x.numpy().reshape(n, c, -1) for x in (student, teacher))
    return sum(abs(sum(s[b, k]) - sum(t[b, k])) / s.shape[2] for b in range(n) for k in range(c)) / (n * c)


@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape):
    student, teacher = maps(*shape, scale=3.0)
    assert_value(ImageSemanticLoss(), expected(student, teacher), student, teacher)


def test_two_classes_by_hand():
    student = torch.tensor([[1.0, 3.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    teacher = torch.tensor([[0.0, 0.0], [-1.0, 5.0]]).reshape(1, 2, 1, 2)
    assert ImageSemanticLoss()(student, teacher).item() == (2 + 2) / 2


def test_gradient():
    assert_gradient(ImageSemanticLoss(), *maps(2, 3, 2, 3))


def test_the_published_sum_over_images_and_classes_has_a_weight_here():
    """0.002 of the sum over 2 images and 21 classes is 0.084 of the mean."""
    student, teacher = maps(2, 21, 4, 5)
    published = 0.002 * (student.mean((2, 3)) - teacher.mean((2, 3))).abs().sum()
    torch.testing.assert_close(0.084 * ImageSemanticLoss()(student, teacher), published)


def test_where_the_pixels_lie_does_not_matter():
    student, teacher = maps(2, 5, 3, 4)
    moved = student.flatten(2)[:, :, torch.randperm(12)].reshape(student.shape)
    torch.testing.assert_close(ImageSemanticLoss()(moved, teacher), ImageSemanticLoss()(student, teacher))


def test_every_pixel_gets_the_same_gradient():
    grad = gradient(ImageSemanticLoss(), *maps(2, 5, 3, 4)).flatten(2)
    torch.testing.assert_close(grad.abs(), torch.full_like(grad, 1 / (2 * 5 * 12)))
    assert torch.equal(grad, grad[..., :1].expand_as(grad))


def test_padding_can_be_left_out():
    student, teacher = maps(1, 3, 4, 6)
    y = labels(1, 4, 6)
    counted = y[0] != 255
    difference = student[0][:, counted].mean(1) - teacher[0][:, counted].mean(1)
    loss = MODELS.build(dict(type='OnLabeled', loss=dict(type='ImageSemanticLoss')))
    torch.testing.assert_close(loss(student, teacher, y), difference.abs().mean())
