import math

import pytest
import torch

from mmseg_kd.cache import encoding

RANDOM = torch.Generator().manual_seed(0)


def both_ways(name, values):
    one = encoding(name, values.shape[1:])
    parts = one.encode(values)
    assert sum(part[0].numel() * part.element_size() for part in parts.values()) == one.bytes
    return one.decode(parts)


@pytest.mark.parametrize('shape', [(2, 19, 4, 5), (2, 7, 6), (2, 8)])
def test_half_precision_and_8_bits_keep_their_promises(shape):
    values = 10 * torch.randn(shape, generator=RANDOM)
    assert (both_ways('float16', values) - values).abs().le(values.abs() * 2**-11 + 1e-7).all()
    channel = 1 if len(shape) == 4 else len(shape) - 1
    others = [axis for axis in range(1, len(shape)) if axis != channel]
    ranges = values.amax(others, keepdim=True) - values.amin(others, keepdim=True) if others else 0 * values
    assert (both_ways('int8', values) - values).abs().le(ranges / 510 + 1e-5).all()


def test_maps_that_are_constant_are_exact_in_8_bits():
    assert torch.equal(both_ways('int8', torch.full((1, 2, 3, 3), -7.25)), torch.full((1, 2, 3, 3), -7.25))


@pytest.mark.parametrize('classes', [19, 300])
def test_top_logits_keep_the_largest_and_the_mass_of_the_rest(classes):
    logits = 5 * torch.randn(2, classes, 3, 4, generator=RANDOM)
    read = both_ways('top4', logits)
    top = logits.topk(4, dim=1)
    assert torch.allclose(read.gather(1, top.indices), top.values, atol=0.01)
    assert torch.allclose(read.logsumexp(1), logits.logsumexp(1), atol=0.01)
    others = torch.ones_like(logits).scatter(1, top.indices, 0).bool()
    rest = logits.softmax(1)[others].reshape(-1).sum()
    assert read.softmax(1)[others].sum() == pytest.approx(rest.item(), rel=0.01)
    assert encoding('top4', (classes, 3, 4)).bytes == 3 * 4 * (4 * (3 if classes <= 256 else 4) + 2)


def test_probabilities_of_zero_are_stored():
    logits = torch.tensor([0.5, 0.5, 0.0, 0.0]).log().reshape(1, 4, 1, 1)
    assert torch.equal(both_ways('float16', logits).softmax(1), logits.softmax(1))
    assert torch.equal(both_ways('top2', logits).softmax(1), logits.softmax(1))
    assert math.isinf(both_ways('float16', logits)[0, 3, 0, 0])


@pytest.mark.parametrize(
    'name, shape, message',
    [
        ('float32', (4, 1, 1), "must be float16, int8 or top<K>, such as top4, but is 'float32'"),
        ('top4', (4, 1, 1), r'top4 needs logits \(C, H, W\) of more than 4 classes'),
        ('top2', (8,), 'top2 needs logits'),
    ],
)
def test_encodings_that_do_not_fit_are_refused(name, shape, message):
    with pytest.raises(ValueError, match=message):
        encoding(name, shape)


@pytest.mark.parametrize(
    'name, value, message',
    [
        ('float16', 1e6, 'at most 65504 for float16, but reach 1e'),
        ('top1', 1e6, 'at most 65504, but reach 1e'),
        ('float16', math.nan, 'but reach nan'),
        ('int8', math.inf, 'must be finite for int8'),
    ],
)
def test_values_that_an_encoding_cannot_hold_are_refused(name, value, message):
    values = torch.full((1, 3, 1, 2), value)
    values[..., 0] = 0
    with pytest.raises(ValueError, match=message):
        encoding(name, (3, 1, 2)).encode(values)
