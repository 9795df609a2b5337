import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, labels, maps, rotated, softmax

from mmseg_kd.losses import APDContextLoss, APDPrototypeLoss

BOTH = pytest.mark.parametrize('cls', [APDContextLoss, APDPrototypeLoss])


def perspective(x, y):
    """Unit features (pixels that are not void, C), their labels, and prototypes by class."""
    x, y = x.numpy().transpose(0, 2, 3, 1).reshape(-1, x.shape[1]), y.numpy().ravel()
    x = np.array([v / np.linalg.norm(v) for v, k in zip(x, y) if k != 255])
    y = y[y != 255]
    means = [np.mean([v for v, k in zip(x, y) if k == c], axis=0) for c in sorted(set(y))]
    return x, [m / np.linalg.norm(m) for m in means]


def context(student, teacher, y, scale):
    total = []
    (u, a), (v, b) = perspective(student, y), perspective(teacher, y)
    for s, t in zip(u, v):
        q, p = softmax(np.array([scale * s @ c for c in a]), 0), softmax(np.array([scale * t @ c for c in b]), 0)
        total.append(sum(p * np.log(p / q)))
    return np.mean(total)


def prototypes(student, teacher, y):
    return np.mean([0.5 * (1 - a @ b) for a, b in zip(perspective(student, y)[1], perspective(teacher, y)[1])])


@pytest.mark.parametrize('classes', [2, 19, 150])
@pytest.mark.parametrize('shape', SHAPES)
def test_equal_the_formulas(shape, classes):
    student, teacher = maps(*shape)
    y = labels(shape[0], *shape[2:], classes=classes)
    y[0, 0, 0] = classes - 1
    assert_value(APDContextLoss(), context(student, teacher, y, 10), student, teacher, y)
    assert_value(APDContextLoss(0.7), context(student, teacher, y, 0.7), student, teacher, y)
    assert_value(APDPrototypeLoss(), prototypes(student, teacher, y), student, teacher, y)


@BOTH
def test_gradient(cls):
    assert_gradient(cls(), *maps(2, 3, 3, 4), labels(2, 3, 4, classes=3))


def test_two_pixels_by_hand():
    """Prototypes are the pixels; the teacher's are orthogonal, the student's the same."""
    teacher, student = torch.eye(2).reshape(1, 2, 1, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    y = torch.tensor([[[0, 1]]])
    assert APDPrototypeLoss()(student, teacher, y).item() == pytest.approx(0.5 * (0 + 1) / 2)
    p = 1 / (1 + np.exp(-10))
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert APDContextLoss()(student, teacher, y).item() == pytest.approx(np.log(2) - entropy, rel=1e-5)


def test_one_class_has_no_context():
    student, teacher = maps(2, 4, 3, 3)
    y = labels(2, 3, 3, classes=1)
    assert APDContextLoss()(student, teacher, y).item() == 0
    assert (gradient(APDContextLoss(), student, teacher, y) == 0).all()


@BOTH
def test_prototypes_are_of_the_batch(cls):
    student, teacher = maps(2, 4, 3, 3)
    y = labels(2, 3, 3, classes=2, void=0)
    each = [cls()(student[i:i + 1], teacher[i:i + 1], y[i:i + 1]) for i in range(2)]
    assert not torch.isclose(cls()(student, teacher, y), sum(each) / 2)
    glued = [x.transpose(0, 1).flatten(1, 2)[None] for x in (student, teacher)]
    torch.testing.assert_close(cls()(student, teacher, y), cls()(*glued, y.flatten(0, 1)[None]))


@BOTH
def test_names_of_classes_the_scale_of_a_pixel_and_a_common_rotation_do_not_matter(cls):
    student, teacher = maps(2, 4, 3, 4)
    y = labels(2, 3, 4, classes=3)
    value = cls()(student, teacher, y)
    names = torch.arange(256)
    names[:3] = torch.tensor([254, 0, 77])
    torch.testing.assert_close(cls()(student, teacher, names[y].byte()), value)
    scale = torch.rand(2, 1, 3, 4, dtype=torch.float64) + 0.1
    torch.testing.assert_close(cls()(rotated(scale * student), rotated(teacher), y), value)


def test_prototypes_lie_between_zero_and_one():
    student, _ = maps(2, 4, 3, 4)
    assert APDPrototypeLoss()(student, -student, labels(2, 3, 4)).item() == pytest.approx(1)


@BOTH
def test_zeros_get_no_gradient(cls):
    _, teacher = maps(2, 4, 3, 4)
    assert (gradient(cls(), torch.zeros_like(teacher), teacher, labels(2, 3, 4)) == 0).all()


def test_scale_must_be_positive():
    with pytest.raises(ValueError, match='APDContextLoss: scale must be > 0'):
        APDContextLoss(0)
