"""Areas beside those of MMSegmentation, and beside a count by hand."""

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmseg_kd.labeling.class_areas import ClassAreas


def test_areas_are_those_of_mmsegmentation():
    draw = np.random.default_rng(0)
    predicted, truth = draw.integers(0, 4, (2, 3, 5, 7))
    truth[0, :3] = 255
    areas = ClassAreas(5)
    for maps in zip(torch.from_numpy(predicted), truth.astype(np.uint8)):
        areas.update(maps[0].numpy(), maps[1])
    right, _, labeled, true = IoUMetric.intersect_and_union(
        torch.from_numpy(predicted), torch.from_numpy(truth), 5, 255
    )
    assert (areas.right.tolist(), areas.predicted.tolist(), areas.true.tolist()) == (
        right.tolist(),
        labeled.tolist(),
        true.tolist(),
    )


def test_values_by_hand():
    areas = ClassAreas(4)
    areas.update(torch.tensor([0, 0, 1, 2, 255]), torch.tensor([0, 1, 1, 255, 0]))
    assert areas.pixels == 3 and areas.accuracy == pytest.approx(2 / 3)
    assert areas.iou == pytest.approx([1 / 2, 1 / 2, np.nan, np.nan], nan_ok=True) and areas.miou == 0.5
    assert areas.fscore == pytest.approx([2 / 3, 2 / 3, np.nan, np.nan], nan_ok=True)


def test_nothing_that_counts_is_nan():
    areas = ClassAreas(2)
    areas.update(np.array([255]), np.array([0]))
    assert np.isnan([areas.miou, areas.accuracy, *areas.iou, *areas.fscore]).all()


@pytest.mark.parametrize(
    'predicted, truth, message',
    [
        (np.zeros((1, 2)), np.zeros((2, 1)), r'must have the same size, but have \(1, 2\) and \(2, 1\); in a pipeline'),
        (np.zeros(2), np.array([0, 2]), r'must lie in 0..1 or be 255 \(ignored\), but an image holds 0..2; check'),
        (np.array([-1]), np.zeros(1), r'must lie in 0..1 .* but an image holds -1..0'),
    ],
)
def test_maps_that_do_not_fit_are_refused(predicted, truth, message):
    with pytest.raises(ValueError, match=message):
        ClassAreas(2).update(predicted, truth)
