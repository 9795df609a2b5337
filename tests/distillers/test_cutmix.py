import math

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_kd.distillers.cutmix import CutMix


def published_masks(values, area, size):
    """The published generator (numpy, one box after the other), fed with the same numbers in [0, 1)."""
    share, split, top, left = values.double().numpy()
    share = area[0] + (area[1] - area[0]) * share
    y = np.exp(split * np.log(share))
    x = share / y
    shrink = np.sqrt(1.0 / share.shape[1])
    sizes = np.round(np.stack([y * shrink, x * shrink], axis=2) * np.array(size))
    positions = np.round((np.array(size) - sizes) * np.stack([top, left], axis=2))
    masks = np.zeros((len(share), 1, *size))
    for mask, corners, extents in zip(masks, positions.astype(int), sizes.astype(int)):
        for (y0, x0), (height, width) in zip(corners, extents):
            mask[0, y0 : y0 + height, x0 : x0 + width] = 1 - mask[0, y0 : y0 + height, x0 : x0 + width]
    return masks


@pytest.mark.parametrize(
    'boxes,area,size', [(3, (0.25, 0.5), (64, 64)), (1, (0.02, 0.4), (33, 80)), (4, (1.0, 1.0), (8, 8))]
)
def test_masks_are_those_of_the_published_code(boxes, area, size):
    torch.manual_seed(3)
    masks = CutMix(boxes, area).sample(50, size)
    torch.manual_seed(3)
    expected = published_masks(torch.rand(4, 50, boxes), area, size)
    assert masks.dtype == torch.bool and masks.shape == (50, 1, *size)
    np.testing.assert_array_equal(masks.numpy(), expected)


def test_a_quarter_is_pasted_on_average():
    coverage = CutMix().sample(4000, (64, 64)).float().mean((1, 2, 3))
    assert abs(coverage.mean() - 0.25) < 0.01
    low, high = coverage.quantile(torch.tensor([0.01, 0.99]))
    assert abs(low - 0.11) < 0.02 and abs(high - 0.42) < 0.02


def test_a_single_box_has_its_area_within_rounding_and_is_a_rectangle():
    for mask in CutMix(boxes=1, area=(0.3, 0.3)).sample(100, (60, 90))[:, 0]:
        rows, columns = mask.any(1).sum().item(), mask.any(0).sum().item()
        assert mask.sum() == rows * columns
        # Each side is rounded by half a pixel at most.
        assert abs(rows * columns - 0.3 * 60 * 90) <= (rows + columns) / 2 + 0.25


def test_a_box_of_three_is_a_third_as_large(monkeypatch):
    # The second and third box lie upon each other, and so cancel.
    values = torch.tensor([[0.5, 0.2, 0.2], [0.5, 0.1, 0.1], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])[:, None]
    monkeypatch.setattr(torch, 'rand', lambda *shape: values)
    mask = CutMix().sample(1, (300, 300))[0, 0]
    assert abs(mask.float().mean() - 0.375 / 3) < 0.005
    side = round(math.sqrt(0.375 / 3) * 300)
    assert mask[:side, :side].all() and mask.sum() == side * side


def test_the_global_generator_of_the_cpu_decides():
    state = torch.get_rng_state()
    first, second = CutMix().sample(4, (16, 16)), CutMix().sample(4, (16, 16))
    torch.set_rng_state(state)
    assert torch.equal(CutMix().sample(4, (16, 16)), first) and not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_images_and_label_maps_are_taken_from_where_the_mask_says():
    mask = CutMix().sample(2, (16, 24))
    first, second = torch.randn(2, 2, 3, 16, 24)
    mixed = CutMix.mix(first, second, mask)
    assert torch.equal(mixed, first * ~mask + second * mask)
    labels = torch.tensor([0, 255])[:, None, None, None].expand(2, 2, 16, 24)
    assert torch.equal(CutMix.mix(*labels, mask), torch.where(mask[:, 0], 255, 0))
    padded = labels == 255
    assert CutMix.mix(*padded, mask).dtype == torch.bool


def test_mixing_logits_and_deciding_commute():
    mask = CutMix().sample(2, (16, 24))
    first, second = torch.randn(2, 2, 5, 16, 24)
    assert torch.equal(CutMix.mix(first, second, mask).argmax(1), CutMix.mix(first.argmax(1), second.argmax(1), mask))


@pytest.mark.parametrize(
    'first,second',
    [
        ((2, 3, 8, 8), (2, 3, 8, 9)),
        ((2, 3, 8, 8),) * 2,
        ((2, 16, 16), (1, 16, 16)),
        ((3, 2, 16, 16),) * 2,
        ((2, 1, 1, 16, 16),) * 2,
    ],
)
def test_shapes_that_do_not_fit_are_told(first, second):
    with pytest.raises(ValueError, match=r'needs two equal shapes .* resize both to the mask before mixing'):
        CutMix.mix(torch.zeros(first), torch.zeros(second), torch.zeros(2, 1, 16, 16, dtype=torch.bool))


@pytest.mark.parametrize(
    'wrong', [dict(boxes=0), dict(area=(0, 0.5)), dict(area=(0.5, 0.2)), dict(area=(0.5, 1.2)), dict(area=(0.5,))]
)
def test_impossible_boxes_are_refused(wrong):
    with pytest.raises(ValueError, match=f'CutMix: {next(iter(wrong))} must be'):
        MODELS.build(dict(type='CutMix', **wrong))
