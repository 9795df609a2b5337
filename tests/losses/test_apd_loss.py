import numpy as np
import pytest
import torch
from apd_formulas import context, perspective, prototypes
from reference import assert_gradient, assert_value, labels, maps, softmax

from mmseg_kd.losses import APDLoss


def built(channels, classes, **arguments):
    torch.manual_seed(0)
    loss = APDLoss(**arguments)
    loss.classes = classes
    loss.setup(*maps(1, channels, 3, 3))
    return loss.double()


def head(loss, x):
    """H of every pixel of (N, C, H, W)."""
    first, _, second = loss.critic
    w, v = (layer.weight.detach().numpy()[:, :, 0, 0] for layer in (first, second))
    b, c = (layer.bias.detach().numpy()[:, None, None] for layer in (first, second))
    hidden = [np.maximum(np.einsum('dc,chw->dhw', w, image) + b, 0) for image in x.numpy()]
    return torch.from_numpy(np.array([np.einsum('dc,chw->dhw', v, image) + c for image in hidden]))


@pytest.mark.parametrize(
    'shape,classes', [((2, 5, 7, 9), 4), ((1, 19, 3, 4), 19), ((1, 2, 5, 3), 2), ((2, 4, 3, 3), 150)]
)
def test_equals_the_formulas(shape, classes):
    student, teacher = maps(*shape)
    y = labels(shape[0], *shape[2:], classes=classes)
    loss = built(shape[1], classes, context=3.0, prototype=0.5, scale=2.0, head_scale=7.0)
    behind = head(loss, teacher)
    expected = 3 * context(student, behind, y, 2) + 0.5 * prototypes(student, behind, y)
    assert_value(lambda s, t, y: loss.to(s.dtype)(s, t, y), expected, student, teacher, y)
    loss.double()

    features, means = perspective(behind, y)
    present = sorted(set(y[y != 255].tolist()))
    entropy = []
    for v, k in zip(features, y[y != 255].tolist()):
        scores = np.zeros(classes)
        scores[present] = [7 * v @ c for c in means]
        entropy.append(-np.log(softmax(scores, 0)[k]))
    np.testing.assert_allclose(loss.critic_loss(student, teacher, y).item(), np.mean(entropy), rtol=1e-9)


def test_the_head_learns_with_the_published_scale_of_ten():
    """Two orthogonal pixels of two classes: the scores are 10 and 0. A scale of 100 would leave nothing to learn."""
    loss = APDLoss()
    loss.classes = 2
    loss.critic = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(2, 2, 1)).double()
    for layer in (loss.critic[0], loss.critic[2]):
        layer.weight.data.copy_(torch.eye(2)[:, :, None, None])
        layer.bias.data.zero_()
    pixels = torch.eye(2, dtype=torch.float64).reshape(1, 2, 1, 2)
    value = loss.critic_loss(pixels, pixels, torch.tensor([[[0, 1]]]))
    assert value.item() == pytest.approx(np.log1p(np.exp(-10)), rel=1e-9)


def test_gradient():
    assert_gradient(built(3, 3), *maps(2, 3, 3, 4), labels(2, 3, 4, classes=3))


def test_the_loss_moves_the_student_only_and_the_critic_only_itself():
    student, teacher = maps(2, 5, 6, 7)
    y, loss = labels(2, 6, 7), built(5, 5)
    student.requires_grad_()
    loss(student, teacher, y).backward()
    assert student.grad.abs().sum() > 0 and all(p.grad is None for p in loss.parameters())
    student.grad = None
    loss.critic_loss(student, teacher.requires_grad_(), y).backward()
    assert student.grad is None and teacher.grad is None and all(p.grad.abs().sum() > 0 for p in loss.parameters())


def test_nothing_but_void_leaves_the_head_as_it_is():
    student, teacher = maps(2, 5, 6, 7)
    loss = built(5, 5)
    value = loss.critic_loss(student, teacher, torch.full((2, 6, 7), 255))
    value.backward()
    assert value.item() == 0 and all((p.grad == 0).all() for p in loss.parameters())


def test_labels_of_the_head_are_sampled():
    student, teacher = maps(2, 5, 6, 7)
    y, loss = labels(2, 6, 7), built(5, 5)
    large = y.repeat_interleave(3, dim=1).repeat_interleave(2, dim=2)
    assert torch.equal(loss.critic_loss(student, teacher, large), loss.critic_loss(student, teacher, y))


def test_the_head_learns_to_tell_classes_apart():
    torch.manual_seed(0)
    y = labels(2, 8, 8, classes=3)
    teacher = 0.5 * torch.randn(2, 6, 8, 8) + 2 * torch.nn.functional.one_hot(y.clamp_max(3), 6).permute(0, 3, 1, 2)
    loss = built(6, 3).float()
    first = loss.critic_loss(teacher, teacher, y).item()
    optimizer = torch.optim.Adam(loss.critic.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        loss.critic_loss(teacher, teacher, y).backward()
        optimizer.step()
    assert loss.critic_loss(teacher, teacher, y).item() < first / 2


def test_bad_arguments_and_other_channels_are_refused():
    with pytest.raises(ValueError, match='APDLoss: context and prototype must be >= 0 and head_scale > 0'):
        APDLoss(context=-1)
    with pytest.raises(ValueError, match='set up for 4 channels, but got 3; call setup'):
        built(4, 3)(*maps(1, 3, 5, 5), labels(1, 5, 5))
    with pytest.raises(ValueError, match='set up for None channels, but got 3'):
        APDLoss()(*maps(1, 3, 5, 5), labels(1, 5, 5))
