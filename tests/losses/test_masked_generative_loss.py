import numpy as np
import pytest
import torch
from reference import gradient, maps
from torch import nn

from mmseg_kd.losses import MaskedGenerativeLoss

SHAPES = [(1, 2, 7, 9), (2, 5, 4, 3), (3, 4, 1, 1)]


def ready(student, teacher, *arguments):
    torch.manual_seed(0)
    loss = MaskedGenerativeLoss(*arguments)
    loss.setup(student, teacher)
    return loss.to(student.dtype)


def convolved(x, layer):
    """3 x 3 convolution of one sample (C, H, W) with zeros around it, tap by tap."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    (_, h, w), padded = x.shape, np.pad(x, ((0, 0), (1, 1), (1, 1)))
    taps = (np.tensordot(weight[:, :, i, j], padded[:, i : i + h, j : j + w], 1) for i in range(3) for j in range(3))
    return sum(taps) + bias[:, None, None]


def expected(loss, student, teacher, mask):
    first, _, second = loss.generator
    total = 0.0
    for s, t, m in zip(student.numpy(), teacher.numpy(), mask.numpy()):
        total += ((convolved(np.maximum(convolved(m * s, first), 0), second) - t) ** 2).sum()
    return total / len(student)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_formula(shape, dtype):
    student, teacher = (x.to(dtype) for x in maps(*shape))
    loss = ready(student, teacher, 0.6)
    whole = torch.ones(shape[0], 1, *shape[2:])
    assert loss.eval()(student, teacher).item() == pytest.approx(expected(loss, student, teacher, whole), rel=1e-5)
    torch.manual_seed(1)
    value = loss.train()(student, teacher)
    torch.manual_seed(1)
    mask = (torch.rand(shape[0], 1, *shape[2:], dtype=dtype) < 0.4).to(dtype)
    assert value.item() == pytest.approx(expected(loss, student, teacher, mask), rel=1e-5)


def test_one_pixel_by_hand():
    student, teacher = torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 1.0)
    loss = ready(student, teacher, 0.0)
    for layer in (loss.generator[0], loss.generator[2]):
        nn.init.constant_(layer.weight, 2.0)
        nn.init.constant_(layer.bias, -1.0)
    # 2 * (2 * 3 - 1) - 1 = 9
    assert loss(student, teacher).item() == pytest.approx((9 - 1) ** 2)


def test_gradient():
    student, teacher = maps(2, 3, 3, 4)
    loss = ready(student, teacher).eval()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student.requires_grad_())


@pytest.mark.parametrize('ratio', [0.0, 0.25, 0.75, 1.0])
def test_the_share_of_masked_pixels(ratio):
    student, teacher = torch.ones(8, 2, 64, 64), torch.zeros(8, 2, 64, 64)
    loss, seen = ready(student, teacher, ratio), []
    loss.generator[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    loss(student, teacher)
    assert set(seen[0].unique().tolist()) <= {0.0, 1.0}
    assert (seen[0] == 0).float().mean().item() == pytest.approx(ratio, abs=0.01)
    assert torch.equal(seen[0][:, 0], seen[0][:, 1])
    assert ratio in (0, 1) or not torch.equal(seen[0][0], seen[0][1])


def test_nothing_reaches_the_student_through_a_whole_mask():
    student, teacher = maps(2, 3, 4, 5)
    loss = ready(student, teacher, 1.0)
    assert (gradient(loss, student, teacher) == 0).all()
    assert loss(student, teacher) == loss(teacher, teacher)


def test_without_a_mask_training_is_evaluation():
    student, teacher = maps(2, 3, 4, 5)
    loss = ready(student, teacher, 0.0)
    assert torch.equal(loss.train()(student, teacher), loss.eval()(student, teacher))


def test_gradient_reaches_generator_and_student_but_not_the_teacher():
    student, teacher = (x.requires_grad_() for x in maps(2, 3, 4, 5))
    loss = ready(student, teacher)
    loss(student, teacher).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in loss.parameters())


def test_a_doubled_batch_changes_nothing():
    student, teacher = maps(2, 3, 4, 5)
    loss = ready(student, teacher).eval()
    torch.testing.assert_close(loss(*(x.repeat(2, 1, 1, 1) for x in (student, teacher))), loss(student, teacher))


def test_equal_features_are_still_rebuilt():
    student, teacher = maps(2, 3, 4, 5)
    assert ready(student, teacher).eval()(teacher, teacher) > 0.1


def test_the_generator_of_the_paper():
    example = torch.empty(1, 2048, 8, 8, device='meta')
    with torch.device('meta'):
        loss = MaskedGenerativeLoss()
        loss.setup(example, example)
    # The adapter from 512 channels has the rest of the published 76,552,192.
    assert sum(p.numel() for p in loss.parameters()) + 512 * 2048 + 2048 == 76_552_192


def test_it_must_be_set_up_for_these_channels():
    student, teacher = maps(2, 3, 4, 5)
    with pytest.raises(ValueError, match='MaskedGenerativeLoss has no generator yet: call setup'):
        MaskedGenerativeLoss()(student, teacher)
    with pytest.raises(ValueError, match='was set up for 3 channels, but got 2'):
        ready(student, teacher)(student[:, 1:], teacher[:, 1:])


@pytest.mark.parametrize('ratio', [-0.1, 1.1])
def test_the_ratio_must_be_a_share(ratio):
    with pytest.raises(ValueError, match='mask_ratio must be in 0..1'):
        MaskedGenerativeLoss(ratio)
