import math

import pytest
import torch
from mmseg.registry import METRICS
from samples import run, sample

from mmseg_kd.evaluation import LabelQualityMetric


def test_uncertain_pixels_are_ignored_at_each_threshold():
    """Confidences 0.9, 0.8, 0.6, 0.7 of class 0, 0, 1, 1; the third is wrong; a fifth pixel is ignored."""
    road = torch.tensor([[0.9, 0.8, 0.4, 0.3, 0.5]])
    one = sample(torch.stack([road, 1 - road]).log(), [0, 0, 0, 1, 255])
    found = run(METRICS.build(dict(type='LabelQualityMetric', thresholds=[0, 0.65, 0.95])), [one])
    assert found['label_mIoU@0'] == pytest.approx(100 * (2 / 3 + 1 / 2) / 2, abs=0.006)
    assert (found['label_accuracy@0'], found['label_share@0']) == (75, 100)
    assert [found[f'label_{name}@0.65'] for name in ('mIoU', 'accuracy', 'share')] == [100, 100, 75]
    assert math.isnan(found['label_mIoU@0.95']) and found['label_share@0.95'] == 0


def test_images_are_summed():
    road = torch.tensor([[0.9, 0.9]])
    pair = [sample(torch.stack([road, 1 - road]).log(), labels) for labels in ([0, 0], [1, 1])]
    assert run(LabelQualityMetric([0.5]), pair)['label_accuracy@0.5'] == 50


def test_thresholds_are_probabilities():
    with pytest.raises(ValueError, match=r'probabilities in 0..1, but are \[50\]'):
        LabelQualityMetric([50])
