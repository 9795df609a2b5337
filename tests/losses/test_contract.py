"""What must hold for every loss of the package, those that come later included."""
import importlib
import inspect
import pkgutil

import pytest
import torch
from reference import labels, maps

import mmseg_kd.losses
from mmseg_kd.losses import (ACELoss, AfDCDLoss, APDLoss, AttnFDLoss, BPKDLoss, CIRKDChannelLoss, CIRKDMemoryLoss,
                             DistillLoss, DSDCategorySimilarityLoss, DSDPixelSimilarityLoss, FAKDLoss,
                             HingeHolisticKDLoss, HolisticKDLoss, IDDPositionLoss, KATranslatorLoss,
                             MaskedGenerativeLoss, SALCContextLoss, SSTKDStatisticalTextureLoss)

# Adversarial objectives, cross-entropies, and what passes the student through layers of its own have no value that
# equality must give.
NO_KNOWN_MINIMUM = {
    ACELoss, AfDCDLoss, APDLoss, AttnFDLoss, CIRKDChannelLoss, CIRKDMemoryLoss, FAKDLoss, HingeHolisticKDLoss,
    HolisticKDLoss, KATranslatorLoss, MaskedGenerativeLoss, SALCContextLoss
}
# Reads more of large labels than their samples.
FULL_LABELS = {BPKDLoss}
# Rounding the inputs moves maxima, signs and levels, with which the gradient jumps.
ROUGH = {AfDCDLoss: 1e-1, SSTKDStatisticalTextureLoss: 3e-1}
# Cannot take any number of channels, or has so small features from few that rounding turns them.
CHANNELS = {AfDCDLoss: 16, CIRKDMemoryLoss: 16, KATranslatorLoss: 32}
# Read the student's classifier too.
WITH_CLASSIFIER = {FAKDLoss}
# Cannot take maps with shorter sides.
SIDES = {IDDPositionLoss: 3}
# Read several maps of the student and none of a teacher.
WITHOUT_TEACHER = {SALCContextLoss}
# Read two or more maps of each network.
SEVERAL = {DSDPixelSimilarityLoss}
# Cannot be built without arguments, or with the defaults have gradients that underflow in half precision.
ARGUMENTS = {CIRKDMemoryLoss: dict(num_classes=5), DSDCategorySimilarityLoss: dict(temperature=0.5)}


def all_losses():
    found = set()
    for info in pkgutil.walk_packages(mmseg_kd.losses.__path__, 'mmseg_kd.losses.'):
        for _, cls in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            if issubclass(cls, DistillLoss) and not inspect.isabstract(cls):
                found.add(cls)
    return sorted(found, key=lambda cls: cls.__name__)


LOSSES = all_losses()
LABELLED = [cls for cls in LOSSES if cls.needs_labels]


@pytest.fixture(params=LOSSES, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


def example(cls, *shape):
    """Student, teacher and, where wanted, labels (float32)."""
    shape = shape or (3, 5, 7, 9)
    shape = (shape[0], CHANNELS.get(cls, shape[1]), *(max(side, SIDES.get(cls, 1)) for side in shape[2:]))
    student, teacher = (x.float() for x in maps(*shape))
    y = labels(shape[0], *shape[2:], classes=min(4, shape[1]))
    return (student, teacher) + ((y,) if cls.needs_labels else ())


class Split(torch.nn.Module):
    """Gives a loss that reads several maps the channels of one in two parts."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, student, teacher, *y):
        return self.loss(*(x.tensor_split(2, dim=1) for x in (student, teacher)), *y)


class Alone(torch.nn.Module):
    """Gives a loss that reads two stages of the student alone the channels of one map as two."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, student, teacher, *y):
        return self.loss(student.tensor_split(2, dim=1), (), *y)


class Classified(torch.nn.Module):
    """Gives a loss that reads the student's classifier one beside the features."""

    def __init__(self, loss, student, teacher):
        super().__init__()
        self.loss, self.classifier = loss, maps(teacher.shape[1], student.shape[1], 1, 1)[0].float()

    def parts(self, student):
        return student, self.classifier, self.classifier[:, 0, 0, 0]

    def forward(self, student, teacher, *y):
        return self.loss(self.parts(student), teacher, *y)


def build(cls, student, teacher, *_):
    """A loss in eval mode, so that equal calls give equal values."""
    torch.manual_seed(0)
    loss = cls(**ARGUMENTS.get(cls, {}))
    if cls in WITH_CLASSIFIER:
        loss = Classified(loss, student, teacher)
        loss.loss.setup(loss.parts(student), teacher)
        return loss.eval()
    loss.setup(student, teacher)
    return (Split(loss) if cls in SEVERAL else Alone(loss) if cls in WITHOUT_TEACHER else loss).eval()


def evaluate(loss, *inputs):
    torch.manual_seed(0)
    return loss(*inputs)


def value_and_gradient(cls, student, teacher, *y, loss=None):
    student = student.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    value = evaluate(loss or build(cls, student, teacher), student, teacher, *y)
    return value, torch.autograd.grad(value, student)[0]


def test_losses_were_found():
    assert len(LOSSES) >= 11 and len(LABELLED) >= 1


@pytest.mark.parametrize('shape', [(3, 5, 7, 9), (1, 5, 6, 8), (1, 2, 5, 3), (2, 19, 1, 7)])
def test_it_gives_a_finite_scalar_with_a_gradient_to_the_student_only(cls, shape):
    student, teacher, *y = example(cls, *shape)
    student.requires_grad_()
    teacher.requires_grad_()
    before = student.detach().clone(), teacher.detach().clone()
    value = evaluate(build(cls, student, teacher), student, teacher, *y)
    assert value.shape == () and value.dtype == torch.float32 and value.isfinite()
    value.backward()
    assert student.grad.isfinite().all() and student.grad.abs().sum() > 0
    assert teacher.grad is None
    assert torch.equal(before[0], student) and torch.equal(before[1], teacher)


@pytest.mark.parametrize('cls', [c for c in LOSSES if c not in NO_KNOWN_MINIMUM], ids=lambda cls: cls.__name__)
def test_it_is_zero_at_equality_and_positive_elsewhere(cls):
    student, teacher, *y = example(cls)
    loss = build(cls, student, teacher)
    assert abs(evaluate(loss, teacher, teacher, *y).item()) < 1e-6 < evaluate(loss, student, teacher, *y).item()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(cls, dtype):
    student, teacher, *y = example(cls)
    value, grad = value_and_gradient(cls, student, teacher, *y)
    half, half_grad = value_and_gradient(cls, student.to(dtype), teacher.to(dtype), *y)
    assert half.dtype == torch.float32 and half_grad.dtype == dtype
    torch.testing.assert_close(half, value, rtol=2e-2, atol=1e-3)
    assert (half_grad.float() - grad).norm() < ROUGH.get(cls, 5e-2) * grad.norm()


def test_autocast_changes_nothing(cls):
    student, teacher, *y = example(cls)
    value, grad = value_and_gradient(cls, student, teacher, *y)
    loss = build(cls, student, teacher)
    student.requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        cast = evaluate(loss, student, teacher, *y)
        half = evaluate(loss, student.bfloat16(), teacher.bfloat16(), *y)
    assert cast.dtype == half.dtype == torch.float32
    torch.testing.assert_close(cast, value)
    torch.testing.assert_close(torch.autograd.grad(cast, student)[0], grad)
    torch.testing.assert_close(half, value, rtol=2e-2, atol=1e-3)


def test_memory_format_does_not_matter(cls):
    student, teacher, *y = example(cls)
    value, grad = value_and_gradient(cls, student, teacher, *y)
    last = [x.contiguous(memory_format=torch.channels_last) for x in (student, teacher)]
    other, other_grad = value_and_gradient(cls, *last, *y)
    torch.testing.assert_close(other, value)
    torch.testing.assert_close(other_grad, grad, rtol=1e-4, atol=1e-7)


def test_the_order_of_samples_does_not_matter(cls):
    inputs = example(cls)
    loss = build(cls, *inputs)
    order = torch.tensor([2, 0, 1])
    value, grad = value_and_gradient(cls, *inputs, loss=loss)
    other, other_grad = value_and_gradient(cls, *(x[order] for x in inputs), loss=loss)
    torch.testing.assert_close(other, value)
    torch.testing.assert_close(other_grad, grad[order], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize('cls', [c for c in LOSSES if c not in WITHOUT_TEACHER], ids=lambda cls: cls.__name__)
def test_shapes_must_agree(cls):
    student, teacher, *y = example(cls)
    loss = build(cls, student, teacher)
    for other in (teacher[..., 1:], teacher[1:], teacher[:, :, None]):
        with pytest.raises(ValueError, match=rf'{cls.__name__} needs equal .* student is .* teacher is .*; give'):
            loss(student, other, *y)
    if cls.needs_equal_channels:
        with pytest.raises(ValueError, match=f'{cls.__name__} needs equal shapes'):
            loss(student, teacher[:, 1:], *y)
    else:
        assert evaluate(build(cls, student, teacher[:, 1:]), student, teacher[:, 1:], *y).isfinite()


def test_labels_come_where_they_are_wanted_and_nowhere_else(cls):
    student, teacher, *y = example(cls)
    loss = build(cls, student, teacher)
    if not cls.needs_labels:
        with pytest.raises(ValueError, match=f'{cls.__name__} takes no labels, but labels came as Tensor'):
            loss(student, teacher, labels(3, 7, 9))
        return
    with pytest.raises(ValueError, match=f'{cls.__name__} needs labels, but labels came as NoneType'):
        loss(student, teacher)
    for wrong in (y[0][:, None], y[0][1:]):
        with pytest.raises(ValueError, match=r'needs labels of shape \(N, H, W\) with N = 3'):
            loss(student, teacher, wrong)


@pytest.mark.parametrize('cls', LABELLED, ids=lambda cls: cls.__name__)
def test_void_pixels_count_for_nothing(cls):
    student, teacher, y = example(cls)
    void = (y == 255)[:, None].float()
    loss = build(cls, student, teacher)
    value, grad = value_and_gradient(cls, student, teacher, y, loss=loss)
    changed = [x + 100 * void * torch.randn_like(x) for x in (student, teacher)]
    assert torch.equal(value_and_gradient(cls, *changed, y, loss=loss)[0], value)
    assert void.sum() > 0 and (grad * void == 0).all()


@pytest.mark.parametrize('cls', LABELLED, ids=lambda cls: cls.__name__)
def test_nothing_but_void_gives_a_zero_that_can_be_differentiated(cls):
    student, teacher, y = example(cls)
    value, grad = value_and_gradient(cls, student, teacher, torch.full_like(y, 255))
    assert value.item() == 0 and (grad == 0).all()


@pytest.mark.parametrize('cls', [c for c in LABELLED if c not in FULL_LABELS], ids=lambda cls: cls.__name__)
def test_labels_of_any_resolution_are_sampled(cls):
    student, teacher, y = example(cls)
    loss = build(cls, student, teacher)
    large = y.repeat_interleave(3, dim=1).repeat_interleave(2, dim=2)
    assert torch.equal(evaluate(loss, student, teacher, large), evaluate(loss, student, teacher, y))
