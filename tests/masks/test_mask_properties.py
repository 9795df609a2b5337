"""Properties of every mask, those that come later included, over random maps, labels and inner losses."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mmseg_kd.masks
from mmseg_kd.masks import MaskedLoss, OnClasses, OnConfident

MASKS = [cls for cls in (getattr(mmseg_kd.masks, name) for name in mmseg_kd.masks.__all__) if cls is not MaskedLoss]
INNER = ['PixelWiseKDLoss', 'HintLoss', 'CWDLoss', 'IFVDLoss']


@st.composite
def cases(draw, cls):
    """A mask around some loss, student, teacher and, where wanted, labels."""
    images, channels, height, width = (draw(st.integers(low, 6)) for low in (1, 2, 1, 1))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    student, teacher = (3 * torch.randn(images, channels, height, width, generator=generator) for _ in range(2))
    y = torch.randint(channels, (images, 2 * height, 2 * width), generator=generator)
    y[torch.rand(y.shape, generator=generator) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = 255
    arguments = {
        OnClasses: dict(only=draw(st.lists(st.integers(0, channels - 1), min_size=1, unique=True))),
        OnConfident: dict(threshold=draw(st.floats(0, 1))),
    }
    loss = cls(loss=dict(type=draw(st.sampled_from(INNER))), **arguments.get(cls, {}))
    loss.classes = channels
    return loss, student, teacher, *([y] if loss.needs_labels else [])


def selected(loss, student, teacher, *y):
    """Pixels (N, 1, H, W) of the student's map that count."""
    mask = loss.counted(student, teacher, *(y or (None,)))
    mask = torch.nn.functional.interpolate(mask[:, None].float(), student.shape[2:]) > 0
    if loss.loss.needs_labels:
        mask &= (loss.sample(*y, student.shape[2:])[:, ::2, ::2] != 255)[:, None]
    return mask


@pytest.mark.parametrize('cls', MASKS, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_only_selected_pixels_of_the_student_count(cls, data):
    loss, student, teacher, *y = data.draw(cases(cls))
    student.requires_grad_()
    value = loss(student, teacher, *y)
    (grad,) = torch.autograd.grad(value, student)
    mask = selected(loss, student, teacher, *y)
    assert value.isfinite() and value >= -1e-5 and grad.isfinite().all()
    assert (grad.masked_select(~mask.expand_as(grad)) == 0).all()
    changed = torch.where(mask, student, 1e4).detach()
    torch.testing.assert_close(loss(changed, teacher, *y), value.detach(), rtol=1e-5, atol=1e-6)
    assert loss(teacher, teacher, *y).abs() < 1e-4
    if not mask.any():
        assert value == 0 and loss.denominator(student, teacher, *y) == 0


@pytest.mark.parametrize('cls', MASKS, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_the_order_and_the_number_of_images_do_not_matter(cls, data):
    loss, *maps = data.draw(cases(cls))
    value = loss(*maps)
    order = torch.tensor(data.draw(st.permutations(range(len(maps[0])))))
    torch.testing.assert_close(loss(*(x[order] for x in maps)), value, rtol=1e-4, atol=1e-6)
    twice = [torch.cat([x, x]) for x in maps]
    torch.testing.assert_close(loss(*twice), value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss.denominator(*twice), 2 * loss.denominator(*maps))
