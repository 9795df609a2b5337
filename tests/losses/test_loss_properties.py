"""Properties of every loss of the package, those that come later included, over random shapes, types, labels and
temperatures. ``--hypothesis-profile deep`` draws more of them.
"""

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_examples import (
    CHANNELS,
    LABELED,
    LOSSES,
    NO_KNOWN_MINIMUM,
    SEVERAL,
    SIDES,
    WITH_CLASSIFIER,
    WITHOUT_TEACHER,
    build,
    evaluate,
)

from mmseg_kd.losses import (
    BPKDLoss,
    ConsistencyKDLoss,
    CSCLoss,
    DISTLoss,
    DSDCategorySimilarityLoss,
    HalfMapPairWiseKDLoss,
    MaxPairWiseKDLoss,
    PairWiseKDLoss,
    RegionContentLoss,
    SALCContextLoss,
    SSTKDStructuralTextureLoss,
    SummedPixelWiseKDLoss,
)

# Where a pixel lies matters to pooling, convolutions and edges.
SPATIAL = {
    BPKDLoss,
    ConsistencyKDLoss,
    CSCLoss,
    HalfMapPairWiseKDLoss,
    MaxPairWiseKDLoss,
    PairWiseKDLoss,
    RegionContentLoss,
    SALCContextLoss,
    SSTKDStructuralTextureLoss,
}
SPATIAL |= {cls for cls in LOSSES if issubclass(cls, DSDCategorySimilarityLoss)}
# A sum over the images of the batch, not a mean.
SUMS = {SummedPixelWiseKDLoss}
# Compare many numbers with rounding errors that do not shrink with the loss.
TOLERANCE = dict(rtol=1e-3, atol=1e-5)


@st.composite
def cases(draw, cls):
    """A loss, student, teacher and, where wanted, labels of some classes with some ignored pixels."""
    least = max(2, cls.least_channels, CHANNELS.get(cls, 1))
    channels = least if cls in CHANNELS else draw(st.integers(least, 6))
    side = st.integers(SIDES.get(cls, 1), 7)
    images, height, width = draw(st.integers(1, 3)), draw(side), draw(side)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    scale = draw(st.sampled_from([0.1, 1.0, 5.0]))
    student, teacher = (scale * torch.randn(images, channels, height, width, generator=generator) for _ in range(2))
    y = []
    if cls.needs_labels:
        present = draw(st.lists(st.integers(0, channels - 1), min_size=1, max_size=4, unique=True))
        index = torch.randint(len(present), (images, height, width), generator=generator)
        y = [torch.tensor(present)[index]]
        ignored = torch.rand(images, height, width, generator=generator) < draw(st.sampled_from([0.0, 0.2, 0.9]))
        y[0][ignored] = 255
        if draw(st.booleans()):
            y[0][0] = 255
    arguments = {}
    if 'temperature' in inspect.signature(cls).parameters:
        arguments['temperature'] = draw(st.sampled_from([0.5, 1.0, 4.0, 20.0]))
    loss = build(cls, student, teacher, classes=channels, **arguments)
    return loss, student, teacher, *y


def value_and_gradient(loss, student, *rest):
    student = student.detach().clone().requires_grad_()
    value = evaluate(loss, student, *rest)
    return value, torch.autograd.grad(value, student)[0]


def is_learned(cls, loss):
    """Whether a loss knows channels by their number: it has layers of its own, or the test splits its maps."""
    return (
        cls in WITH_CLASSIFIER | SEVERAL | WITHOUT_TEACHER
        or any(True for _ in loss.parameters())
        or any(True for _ in loss.buffers())
    )


@pytest.mark.parametrize('cls', LOSSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_it_is_finite_reaches_the_student_only_and_knows_its_minimum(cls, data):
    loss, student, teacher, *y = data.draw(cases(cls))
    teacher.requires_grad_()
    value, grad = value_and_gradient(loss, student, teacher, *y)
    assert value.shape == () and value.dtype == torch.float32 and value.isfinite()
    assert grad.isfinite().all() and teacher.grad is None
    if cls not in NO_KNOWN_MINIMUM:
        assert value >= -1e-5
    # A class that is constant, as over a single pixel, correlates with nothing, not even with itself.
    if cls not in NO_KNOWN_MINIMUM | {DISTLoss}:
        assert evaluate(loss, teacher.detach(), teacher, *y).abs() < 1e-4


@pytest.mark.parametrize('cls', LOSSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_half_precision_is_raised_before_anything_is_computed(cls, data):
    loss, *maps = data.draw(cases(cls))
    dtype = data.draw(st.sampled_from([torch.float16, torch.bfloat16]))
    half, y = [x.to(dtype) for x in maps[:2]], maps[2:]
    value, grad = value_and_gradient(loss, *half, *y)
    expected, expected_grad = value_and_gradient(loss, *(x.float() for x in half), *y)
    assert value.dtype == torch.float32 and grad.dtype == dtype
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grad, expected_grad.to(dtype), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize('cls', LOSSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_what_only_reorders_or_repeats_the_batch_changes_nothing(cls, data):
    loss, *maps = data.draw(cases(cls))
    value = evaluate(loss, *maps)
    order = torch.tensor(data.draw(st.permutations(range(len(maps[0])))))
    torch.testing.assert_close(evaluate(loss, *(x[order] for x in maps)), value, **TOLERANCE)
    twice = evaluate(loss, *(torch.cat([x, x]) for x in maps))
    torch.testing.assert_close(twice, (2 if cls in SUMS else 1) * value, **TOLERANCE)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**16)))
    if is_learned(cls, loss):
        return
    channels = maps[0].shape[1]
    order = torch.randperm(channels, generator=generator)
    renamed = [x[:, order] for x in maps[:2]]
    for y in maps[2:]:
        # Class c moved to where it stands in the order; ignored pixels have no class.
        renamed.append(torch.where(y == 255, 255, order.argsort()[y.clamp_max(channels - 1)]))
    torch.testing.assert_close(evaluate(loss, *renamed), value, **TOLERANCE)
    if cls not in SPATIAL:
        order = torch.randperm(maps[0][0, 0].numel(), generator=generator)
        moved = [x.flatten(-2)[..., order].reshape(x.shape) for x in maps]
        torch.testing.assert_close(evaluate(loss, *moved), value, **TOLERANCE)


@pytest.mark.parametrize('cls', LABELED, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_the_values_of_ignored_pixels_have_no_effect(cls, data):
    loss, student, teacher, y = data.draw(cases(cls))
    ignored = (y == 255)[:, None]
    value, grad = value_and_gradient(loss, student, teacher, y)
    for number in (1e4, -1e4):
        other = value_and_gradient(loss, student.masked_fill(ignored, number), teacher.masked_fill(ignored, -number), y)
        torch.testing.assert_close(other[0], value, rtol=1e-6, atol=0)
        torch.testing.assert_close(other[1], grad, rtol=1e-4, atol=1e-7)
    assert (grad.masked_select(ignored.expand_as(grad)) == 0).all()
