import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_kd.models import SoftmaxFocalLoss


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 6, 7, generator=generator, requires_grad=True)
    labels = torch.randint(0, 5, (2, 6, 7), generator=generator)
    labels[:, :2] = 255
    return logits, labels


@pytest.mark.parametrize('gamma', [0.5, 1, 2.0])
def test_weighs_the_cross_entropy_of_a_pixel_by_its_doubt(batch, gamma):
    logits, labels = batch
    shares = np.exp(logits.detach().double().numpy())
    classes = labels.where(labels != 255, 0).numpy()
    shares = np.take_along_axis(shares / shares.sum(1, keepdims=True), classes[:, None], 1)[:, 0]
    expected = -((1 - shares) ** gamma * np.log(shares))[labels.numpy() != 255].mean()
    assert SoftmaxFocalLoss(gamma, loss_weight=3.0)(logits, labels).item() == pytest.approx(3 * expected, rel=1e-5)


def test_without_gamma_it_is_the_cross_entropy_over_labeled_pixels(batch):
    logits, labels = batch
    entropy = MODELS.build(dict(type='CrossEntropyLoss', avg_non_ignore=True))
    weight = torch.rand(2, 6, 7, generator=torch.Generator().manual_seed(1))
    focal = SoftmaxFocalLoss(gamma=0)
    assert focal(logits, labels).item() == pytest.approx(entropy(logits, labels, ignore_index=255).item(), rel=1e-6)
    assert focal(logits, labels, weight).item() == pytest.approx(
        entropy(logits, labels, weight, ignore_index=255).item(), rel=1e-6
    )


def test_void_pixels_count_for_nothing(batch):
    logits, labels = batch
    loss = SoftmaxFocalLoss()(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[:, :, :2].abs().max() == 0 < gradient[:, :, 2:].abs().max()
    assert loss.item() == pytest.approx(SoftmaxFocalLoss()(logits[:, :, 2:], labels[:, 2:]).item(), rel=1e-6)
    nothing = SoftmaxFocalLoss()(logits, torch.full_like(labels, 255))
    (gradient,) = torch.autograd.grad(nothing, logits)
    assert nothing == 0 and gradient.abs().max() == 0


@pytest.mark.parametrize('gamma', [0.5, 2.0])
def test_a_certain_pixel_has_a_finite_gradient(gamma):
    logits = torch.tensor([[[[200.0]], [[0.0]]]], requires_grad=True)
    for label in (0, 1):
        (gradient,) = torch.autograd.grad(SoftmaxFocalLoss(gamma)(logits, torch.tensor([[[label]]])), logits)
        assert torch.isfinite(gradient).all()


def test_gamma_must_not_be_negative():
    with pytest.raises(ValueError, match='gamma must be >= 0, but is -1'):
        SoftmaxFocalLoss(gamma=-1)


def test_mmsegmentations_own_fails_on_the_cpu(batch):
    logits, labels = batch
    with pytest.raises(RuntimeError, match='must match the size'):
        MODELS.build(dict(type='FocalLoss'))(logits, labels, ignore_index=255)
