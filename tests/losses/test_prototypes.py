import numpy as np
import torch
from apd_formulas import perspective
from reference import labels, maps

from mmseg_kd.losses.ops import class_masks
from mmseg_kd.losses.prototypes import prototype_cosines, prototypes


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
