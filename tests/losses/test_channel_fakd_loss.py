import numpy as np
import pytest
import torch
from reference import assert_value, softmax
from test_fakd_loss import class_variances, example

from mmseg_kd.losses import ChannelFAKDLoss, CWDLoss


def shown(student, teacher, y, **settings):
    """In eval mode, with the variances of this batch."""
    loss = ChannelFAKDLoss(**settings)
    loss.setup(student, teacher)
    loss.double()(student, teacher, y)
    return loss.eval()


def expected(student, teacher, y, strength, tau, variance):
    features, weight, bias = (x.numpy() for x in student)
    weight, total = weight[:, :, 0, 0], 0.0
    for n in range(len(y)):
        places = [(i, j) for i, j in np.ndindex(*y.shape[1:]) if y[n, i, j] != 255]
        for c in range(len(weight)) if places else ():
            q = softmax(np.array([teacher[n, c, i, j] / tau for i, j in places]), 0)
            z = np.array([weight[c] @ features[n, :, i, j] + bias[c] for i, j in places]) / tau
            spread = np.array([sum(variance[int(y[n, i, j])] * weight[c] ** 2) for i, j in places])
            total += sum(q * (np.log(q) - z)) + np.log(sum(np.exp(z + strength / (2 * tau**2) * spread)))
    return tau**2 * total / (len(y) * len(weight))


@pytest.mark.parametrize('strength, tau', [(2.5, 1.0), (0.7, 3.0)])
@pytest.mark.parametrize('shape', [dict(), dict(n=1, d=2, h=5, w=3, classes=19), dict(n=3, h=1, w=1)])
def test_equals_the_formula(shape, strength, tau):
    student, teacher, y = example(**shape)
    y[0, 0, 0] = 1
    variance = class_variances(student[0], y, teacher.shape[1])
    loss = shown(student, teacher, y, strength=strength, temperature=tau)
    assert_value(loss, expected(student, teacher, y, strength, tau, variance), student, teacher, y)


@pytest.mark.parametrize('tau', [1.0, 4.0])
def test_without_strength_it_is_channel_wise(tau):
    student, teacher, y = example()
    y[y == 255] = 0
    plain = CWDLoss(tau)(torch.nn.functional.conv2d(*student), teacher)
    torch.testing.assert_close(shown(student, teacher, y, strength=0.0, temperature=tau)(student, teacher, y), plain)


def test_gradient_to_features_weight_and_bias():
    student, teacher, y = example(n=2, d=3, h=2, w=3, classes=4)
    y[1] = 255  # one image has nothing to say
    loss = shown(student, teacher, y)
    assert torch.autograd.gradcheck(lambda *s: loss(s, teacher, y), [x.clone().requires_grad_() for x in student])


def test_it_bounds_the_mean_over_sampled_features_and_grows_with_strength():
    student, teacher, y = example(n=1, h=2, w=3)
    y[:] = torch.tensor([[3, 3, 1], [1, 3, 1]])
    values = []
    for strength in (0.0, 1.0, 2.0):
        loss = shown(student, teacher, y, strength=strength)
        values.append(loss(student, teacher, y))
    assert values[0] < values[1] < values[2]
    # The mean over many samples lies far from both ends; how far is of the order of the differences of the three.
    std = loss.statistics.variance[y].sqrt().permute(0, 3, 1, 2)
    noise = torch.randn(4000, 6, 2, 3, dtype=torch.float64) * std
    samples = torch.nn.functional.conv2d(student[0] + noise, *student[1:])
    sampled = CWDLoss(1.0)(samples, teacher.expand(4000, -1, -1, -1))
    assert values[0] < sampled < values[2]


def test_settings_must_make_sense():
    with pytest.raises(ValueError, match='ChannelFAKDLoss: strength must be >= 0 and temperature > 0'):
        ChannelFAKDLoss(strength=-1.0)
