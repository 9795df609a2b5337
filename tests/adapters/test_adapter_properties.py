"""Properties of every adapter, those that come later included, over random shapes and types."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import mmseg_kd.adapters
from mmseg_kd.adapters import NoAdapter, align

ADAPTERS = [each for each in vars(mmseg_kd.adapters).values() if isinstance(each, type) and issubclass(each, nn.Module)]
SIDES = st.integers(1, 8)


@pytest.mark.parametrize('cls', ADAPTERS, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_an_adapter_changes_the_channels_only_and_treats_images_alone(cls, data):
    images, into, out, height, width = (data.draw(st.integers(low, 8)) for low in (2, 1, 1, 1, 1))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    adapter = cls(in_channels=into, out_channels=out).to(dtype).eval()
    features = torch.randn(images, into, height, width, dtype=dtype, requires_grad=True)
    adapted = adapter(features)
    assert adapted.shape == (images, into if cls is NoAdapter else out, height, width) and adapted.dtype == dtype
    assert (
        adapted.isfinite().all() and torch.autograd.grad(adapted.float().square().sum(), features)[0].isfinite().all()
    )
    order = torch.tensor(data.draw(st.permutations(range(images))))
    tolerance = dict(rtol=5e-2, atol=5e-2) if dtype == torch.bfloat16 else dict(rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(adapter(features[order]), adapted[order], **tolerance)
    torch.testing.assert_close(adapter(features[:1]), adapted[:1], **tolerance)


@given(data=st.data())
def test_the_teacher_is_resized_to_the_student_and_stays_within_its_range(data):
    images, channels, height, width, rows, columns = (data.draw(SIDES) for _ in range(6))
    teacher, student = torch.randn(images, channels, height, width), torch.empty(images, 3, rows, columns)
    found = align(teacher, student)
    assert found.shape == (images, channels, rows, columns)
    assert found.max() <= teacher.max() + 1e-5 and found.min() >= teacher.min() - 1e-5
    torch.testing.assert_close(align(torch.full_like(teacher, 2.5), student), torch.full_like(found, 2.5))
    assert align(teacher, teacher) is teacher


def test_adapters_were_found():
    assert len(ADAPTERS) >= 5
