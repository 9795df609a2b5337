import numpy as np
import pytest
import torch
from reference import assert_gradient, assert_value, maps

from mmseg_kd.losses import IDDPositionLoss


def built(channels):
    torch.manual_seed(0)
    loss = IDDPositionLoss()
    loss.setup(*maps(1, channels, 3, 3))
    return loss.double()


def read(x, critic):
    """G of one map (C, H, W), place by place."""
    weight, bias = critic.weight.detach().numpy(), critic.bias.detach().numpy()
    return np.array(
        [
            [(weight * x[:, i : i + 3, j : j + 3]).sum((1, 2, 3)) + bias for j in range(x.shape[2] - 2)]
            for i in range(x.shape[1] - 2)
        ]
    )


@pytest.mark.parametrize('shape', [(2, 5, 7, 9), (1, 19, 3, 4), (1, 2, 3, 3)])
def test_equals_the_formula(shape):
    student, teacher = maps(*shape)
    loss = built(shape[1])
    readings = [np.array([read(image, loss.critic) for image in x.numpy()]) for x in (student, teacher)]
    np.testing.assert_allclose(loss(student, teacher).item(), ((readings[0] - readings[1]) ** 2).mean(), rtol=1e-9)
    positions = np.array(
        [[(j / (shape[3] - 1), i / (shape[2] - 1)) for j in range(1, shape[3] - 1)] for i in range(1, shape[2] - 1)]
    )
    expected = ((readings[1] - positions) ** 2).mean()
    np.testing.assert_allclose(loss.critic_loss(student, teacher).item(), expected, rtol=1e-9)
    assert_value(lambda s, t: loss.to(s.dtype)(s, t), ((readings[0] - readings[1]) ** 2).mean(), student, teacher)


def test_gradient():
    assert_gradient(built(3), *maps(2, 3, 4, 5))


def test_the_loss_moves_the_student_only_and_the_critic_only_itself():
    student, teacher = maps(2, 5, 6, 7)
    loss = built(5)
    student.requires_grad_()
    loss(student, teacher).backward()
    assert student.grad.abs().sum() > 0 and all(p.grad is None for p in loss.parameters())
    student.grad = None
    loss.critic_loss(student, teacher.requires_grad_()).backward()
    assert student.grad is None and teacher.grad is None and all(p.grad.abs().sum() > 0 for p in loss.parameters())


def test_positions_are_learned_where_the_features_hold_them():
    rows, columns = torch.linspace(-1, 1, 12).reshape(12, 1), torch.linspace(-1, 1, 16)
    teacher = torch.stack([rows + columns, rows - columns, 0 * rows * columns])[None]
    loss = built(3).float()
    optimizer = torch.optim.Adam(loss.critic.parameters(), lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        value = loss.critic_loss(teacher, teacher)
        value.backward()
        optimizer.step()
    assert value.item() < 1e-3 < 1 / 12
    assert loss(torch.zeros_like(teacher), teacher).item() > 0.03


def test_maps_must_have_nine_pixels_and_the_channels_of_the_setup():
    loss = built(4)
    with pytest.raises(ValueError, match=r'needs maps of at least 3 x 3, but got \(2, 9\)'):
        loss(*maps(1, 4, 2, 9))
    with pytest.raises(ValueError, match='set up for 4 channels, but got 3; call setup'):
        loss(*maps(1, 3, 5, 5))
    with pytest.raises(ValueError, match='set up for None channels, but got 3'):
        IDDPositionLoss()(*maps(1, 3, 5, 5))
