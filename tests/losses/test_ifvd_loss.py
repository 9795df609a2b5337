import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, kept_floats, labels, maps, rotated

from mmseg_kd.losses import IFVDLoss


def similarity(x, y):
    """Cosine of every pixel of one sample (C, P) with the mean of its class; void pixels are left out."""
    result = []
    for p in range(x.shape[1]):
        if y[p] != 255:
            mean = np.mean([x[:, q] for q in range(x.shape[1]) if y[q] == y[p]], axis=0)
            result.append(x[:, p] @ mean / max(np.linalg.norm(x[:, p]), 1e-8) / max(np.linalg.norm(mean), 1e-8))
    return np.array(result)


def expected(student, teacher, y):
    squares = [
        (similarity(s.reshape(len(s), -1), k.ravel()) - similarity(t.reshape(len(t), -1), k.ravel())) ** 2
        for s, t, k in zip(student.numpy(), teacher.numpy(), y.numpy())
    ]
    return np.concatenate(squares).mean()


@pytest.mark.parametrize('classes', [2, 19, 150])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, classes):
    student, teacher = maps(*shape, channels=7)
    y = labels(shape[0], *shape[2:], classes=classes)
    y[0, 0, 0] = classes - 1
    assert_value(IFVDLoss(), expected(student, teacher, y), student, teacher, y)


def test_labels_are_sampled_at_the_floor():
    student, teacher = maps(2, 3, 4, 5)
    y = labels(2, 13, 10)
    rows, columns = [i * 13 // 4 for i in range(4)], [j * 10 // 5 for j in range(5)]
    assert_value(IFVDLoss(), expected(student, teacher, y[:, rows][:, :, columns]), student, teacher, y)


def test_two_pixels_by_hand():
    # Student: orthogonal vectors of one class, both at 45 degrees to their mean. Teacher: equal vectors.
    student = torch.eye(2).reshape(1, 2, 1, 2)
    value = IFVDLoss()(student, torch.ones(1, 2, 1, 2), torch.zeros(1, 1, 2, dtype=torch.long))
    assert value.item() == pytest.approx((1 - 0.5**0.5) ** 2)


def test_void_is_not_counted():
    """The published code would divide by four pixels here."""
    student = torch.cat([torch.eye(2), torch.randn(2, 2)], dim=1).reshape(1, 2, 1, 4)
    y = torch.tensor([[[0, 0, 255, 255]]])
    assert IFVDLoss()(student, torch.ones(1, 2, 1, 4), y).item() == pytest.approx((1 - 0.5**0.5) ** 2)


def test_gradient():
    assert_gradient(IFVDLoss(), *maps(2, 3, 3, 4), labels(2, 3, 4, classes=3))


def test_prototypes_are_of_one_image():
    student, teacher = maps(2, 4, 3, 3)
    y = labels(2, 3, 3, classes=2, void=0)
    each = [IFVDLoss()(student[i : i + 1], teacher[i : i + 1], y[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(IFVDLoss()(student, teacher, y), sum(each) / 2)


def test_names_of_classes_and_places_of_pixels_do_not_matter():
    student, teacher = maps(2, 4, 3, 4)
    y = labels(2, 3, 4, classes=3)
    value = IFVDLoss()(student, teacher, y)
    names = torch.arange(256)
    names[:3] = torch.tensor([254, 0, 77])
    torch.testing.assert_close(IFVDLoss()(student, teacher, names[y]), value)
    order = torch.randperm(12)
    moved = [x.flatten(-2)[..., order].reshape(x.shape) for x in (student, teacher, y)]
    torch.testing.assert_close(IFVDLoss()(*moved), value)


def test_scale_and_rotation_do_not_matter():
    student, teacher = maps(2, 4, 3, 4)
    y = labels(2, 3, 4, classes=3)
    value = IFVDLoss()(student, teacher, y)
    torch.testing.assert_close(IFVDLoss()(30 * rotated(student, 1), 0.2 * rotated(teacher, 2), y), value)
    assert value <= 4


def test_a_class_of_one_pixel_gets_no_gradient():
    student, teacher = maps(1, 4, 3, 3)
    y = torch.zeros(1, 3, 3, dtype=torch.long)
    y[0, 1, 1] = 7
    grad = gradient(IFVDLoss(), student, teacher, y)
    assert grad[..., 1, 1].abs().max() < 1e-15 < grad[..., 0, 0].abs().max()


def test_zero_vectors_get_no_gradient():
    student, teacher = maps(1, 4, 3, 3)
    student[..., 1, 1] = 0
    y = torch.zeros(1, 3, 3, dtype=torch.long)
    grad = gradient(IFVDLoss(), student, teacher, y)
    # A zero vector still moves the mean of its class, but its own cosine gives nothing: all stays of moderate size.
    assert grad.isfinite().all() and grad.abs().max() < 10
    assert (gradient(IFVDLoss(), torch.zeros_like(student), teacher, y) == 0).all()


def test_bytes_serve_as_labels():
    student, teacher = maps(2, 4, 3, 4)
    y = labels(2, 3, 4)
    assert IFVDLoss()(student, teacher, y.byte()) == IFVDLoss()(student, teacher, y)


def test_autograd_keeps_no_map_at_any_number_of_classes():
    student, teacher = (x.float() for x in maps(1, 64, 64, 64))
    few, many = (kept_floats(IFVDLoss(), student, teacher, labels(1, 64, 64, classes=n)) for n in (2, 150))
    assert few == many < 0.2 * student.numel()
