import numpy as np
import pytest
import torch
from apd_formulas import perspective
from reference import gradient, labels, maps, rotated

from mmseg_kd.losses import APDContextLoss, APDPrototypeLoss
from mmseg_kd.losses.ops import class_masks
from mmseg_kd.losses.prototypes import prototype_cosines, prototypes

BOTH = pytest.mark.parametrize('cls', [APDContextLoss, APDPrototypeLoss])


def test_they_are_the_directions_of_the_mean_directions_and_zero_for_an_absent_class():
    features, _ = maps(2, 4, 3, 5)
    y = labels(2, 3, 5, classes=3)
    masks = class_masks(y, 4, features.dtype)
    units, means = perspective(features, y)
    found = prototypes(features, masks)
    np.testing.assert_allclose(found[:, :3].T.numpy(), means, rtol=1e-9)
    assert (found[:, 3] == 0).all()
    cosines = prototype_cosines(features, masks).transpose(1, 2)[y.flatten(1) != 255]
    np.testing.assert_allclose(cosines[:, :3].numpy(), units @ np.array(means).T, rtol=1e-9, atol=1e-12)


def test_features_of_zero_resemble_nothing_and_get_no_gradient():
    features = torch.zeros(1, 3, 2, 2, requires_grad=True)
    cosines = prototype_cosines(features, class_masks(torch.zeros(1, 2, 2), 2, torch.float32))
    cosines.sum().backward()
    assert (cosines == 0).all() and (features.grad == 0).all()


@BOTH
def test_prototypes_are_of_the_batch(cls):
    student, teacher = maps(2, 4, 3, 3)
    y = labels(2, 3, 3, classes=2, void=0)
    each = [cls()(student[i : i + 1], teacher[i : i + 1], y[i : i + 1]) for i in range(2)]
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


@BOTH
def test_classes_that_do_not_occur_change_nothing(cls):
    student, teacher = maps(2, 4, 3, 4)
    y = labels(2, 3, 4, classes=3)
    told = cls()
    told.classes = 3
    torch.testing.assert_close(told(student, teacher, y), cls()(student, teacher, y))


@BOTH
def test_zeros_get_no_gradient(cls):
    _, teacher = maps(2, 4, 3, 4)
    assert (gradient(cls(), torch.zeros_like(teacher), teacher, labels(2, 3, 4)) == 0).all()
