import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_kd.models import SoftDiceLoss


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 6, 7, generator=generator, requires_grad=True)
    labels = torch.randint(0, 4, (2, 6, 7), generator=generator)  # class 4 does not occur
    labels[:, :2] = 255
    return logits, labels


def dice_by_hand(logits, labels, weight=None):
    logits, labels = logits.detach().double().numpy(), labels.numpy()
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    counts = (labels != 255) * (1 if weight is None else weight.double().numpy())
    losses = []
    for c in np.unique(labels[counts > 0]):
        truth = (labels == c) * counts
        losses.append(1 - 2 * (shares[:, c] * truth).sum() / ((shares[:, c] * counts).sum() + truth.sum()))
    return np.mean(losses)


def test_is_the_mean_over_the_classes_that_occur(batch):
    logits, labels = batch
    loss = SoftDiceLoss(loss_weight=0.5)(logits, labels)
    assert loss.item() == pytest.approx(0.5 * dice_by_hand(logits, labels), rel=1e-5)


def test_two_pixels_by_hand():
    logits = torch.tensor([[[[0.0, 50.0]], [[0.0, -50.0]]]])  # shares of class 0: 1/2, 1
    labels = torch.tensor([[[0, 1]]])
    # Class 0: 1 - 2 * 1/2 / (3/2 + 1) = 3/5; class 1: 1 - 0 = 1.
    assert SoftDiceLoss()(logits, labels).item() == pytest.approx(0.8, abs=1e-6)


def test_pixels_may_be_weighted(batch):
    logits, labels = batch
    weight = torch.rand(2, 6, 7, generator=torch.Generator().manual_seed(1))
    assert SoftDiceLoss()(logits, labels, weight).item() == pytest.approx(
        dice_by_hand(logits, labels, weight), rel=1e-5
    )


def test_void_pixels_count_for_nothing(batch):
    logits, labels = batch
    loss = SoftDiceLoss()(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[:, :, :2].abs().max() == 0 < gradient[:, :, 2:].abs().max()
    assert torch.equal(loss, SoftDiceLoss()(logits, labels.where(labels != 255, 99), ignore_index=99))
    assert loss.item() == pytest.approx(SoftDiceLoss()(logits[:, :, 2:], labels[:, 2:]).item(), rel=1e-6)


def perfect(labels, num_classes=4):
    return 50 * torch.nn.functional.one_hot(labels.where(labels != 255, 0), num_classes).permute(0, 3, 1, 2).float()


def test_a_perfect_prediction_of_what_is_labeled_costs_nothing_unlike_with_mmsegmentations_own():
    labels = torch.randint(0, 4, (1, 8, 8), generator=torch.Generator().manual_seed(0))
    labels[:, 4:] = 255
    assert SoftDiceLoss()(perfect(labels), labels).item() == pytest.approx(0, abs=1e-6)
    own = MODELS.build(dict(type='DiceLoss', use_sigmoid=False))
    assert own(perfect(labels), labels, ignore_index=255).item() == pytest.approx(1 / 3, abs=1e-3)


def test_a_rare_class_weighs_like_all_others_unlike_with_mmsegmentations_own():
    labels = torch.zeros(1, 100, 100, dtype=torch.long)
    blind = perfect(labels, 2)
    labels[0, 0, 0] = 1
    assert SoftDiceLoss()(blind, labels).item() == pytest.approx(0.5, abs=1e-3)
    assert MODELS.build(dict(type='DiceLoss', use_sigmoid=False))(blind, labels).item() < 1e-3


def test_without_a_labeled_pixel_it_is_zero_with_a_zero_gradient(batch):
    logits, labels = batch
    loss = SoftDiceLoss()(logits, torch.full_like(labels, 255))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss == 0 and gradient.abs().max() == 0


def test_half_precision_is_raised(batch):
    logits, labels = batch
    with torch.autocast('cpu', torch.bfloat16):
        loss = SoftDiceLoss()(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(dice_by_hand(logits, labels), rel=0.02)
