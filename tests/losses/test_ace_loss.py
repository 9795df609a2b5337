import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import SHAPES, assert_gradient, assert_value, gradient, labels, maps, softmax

from mmseg_kd.losses import ACELoss, PixelWiseKDLoss


def expected(student, teacher, y):
    total = []
    rows = (x.numpy().transpose(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in (student, teacher))
    for z, t, k in zip(*rows, y.flatten()):
        if k != 255:
            q = softmax(t, 0) if t.argmax() == k else np.eye(len(t))[k]
            total.append(-sum(q * np.log(softmax(z, 0))))
    return np.mean(total)


@pytest.mark.parametrize('scale', [0.5, 4.0])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, scale):
    student, teacher = maps(*shape, scale=scale)
    y = labels(shape[0], *shape[2:], classes=shape[1])
    y[0, 0, 0] = teacher[0, :, 0, 0].argmax()
    y[-1, -1, -1] = teacher[-1, :, -1, -1].argmin()
    assert_value(ACELoss(), expected(student, teacher, y), student, teacher, y)


def test_gradient():
    assert_gradient(ACELoss(), *maps(2, 3, 3, 4), labels(2, 3, 4, classes=3))


def test_a_teacher_that_is_right_is_distilled():
    student, teacher = maps(2, 5, 3, 4)
    y = teacher.argmax(1)
    entropy = -(teacher.softmax(1) * teacher.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(ACELoss()(student, teacher, y), PixelWiseKDLoss()(student, teacher) + entropy)


def test_a_teacher_that_is_wrong_or_sure_leaves_the_label():
    student, teacher = maps(2, 5, 3, 4)
    y = teacher.argmin(1)
    y[0, 0] = 255
    torch.testing.assert_close(ACELoss()(student, teacher, y), F.cross_entropy(student, y, ignore_index=255))
    torch.testing.assert_close(
        ACELoss()(student, 1e3 * teacher, teacher.argmax(1)), F.cross_entropy(student, teacher.argmax(1))
    )


def test_at_a_wrong_pixel_the_teacher_is_not_read():
    student, teacher = maps(1, 5, 3, 4)
    y = teacher.argmax(1)
    y[0, 1, 1] = teacher[0, :, 1, 1].argmin()
    changed = teacher.clone()
    changed[0, :, 1, 1] *= 3
    assert torch.equal(gradient(ACELoss(), student, teacher, y), gradient(ACELoss(), student, changed, y))


def test_a_tie_counts_as_right():
    student = torch.tensor([3.0, 0.0]).reshape(1, 2, 1, 1)
    value = [ACELoss()(student, torch.zeros(1, 2, 1, 1), torch.tensor([[[k]]])) for k in (0, 1)]
    assert value[0] == value[1]


def test_huge_logits_and_bytes():
    student, teacher = (x.sign().float() * 1e4 for x in maps(1, 4, 3, 3))
    assert gradient(ACELoss(), student, teacher, labels(1, 3, 3, classes=4).byte()).isfinite().all()
