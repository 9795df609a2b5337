import math

import pytest
import torch
from mmseg.registry import METRICS
from samples import run, sample

from mmseg_kd.evaluation import CalibrationMetric


def test_values_by_hand_over_two_images():
    """Confidence 0.9 twice, one of them right, and 0.62, right: |1 - 1.8| + |1 - 0.62| over 3 pixels."""
    share = torch.tensor([[0.9, 0.9]])
    first = sample(torch.stack([share, 1 - share]).log(), [0, 1])
    second = sample(torch.tensor([[[0.38, 0.5]], [[0.62, 0.5]]]).log(), [1, 255])
    metric = METRICS.build(dict(type='CalibrationMetric', temperatures=[1, 1000]))
    found = run(metric, [first, second])
    assert found['ECE'] == pytest.approx(100 * (0.8 + 0.38) / 3, abs=0.006)
    assert found['confidence'] == pytest.approx(100 * 2.42 / 3, abs=0.006)
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / math.log(2)
    assert found['entropy_T1'] == pytest.approx(entropy, abs=1 / 200) and found['entropy_T1000'] > 0.99
    assert metric.statistics.images == 2 and metric.statistics.pixels == 3


def test_one_channel_is_the_probability_of_class_1_and_its_own_threshold_decides():
    found = run(CalibrationMetric(), [sample([[[0.4, 0.2]]], [1, 0], predicted=[1.0, 0.0])])
    assert found['confidence'] == 60 and found['ECE'] == 40  # 0.4 and 0.8, both right


def test_probabilities_are_taken_as_such():
    scores = [[[0.3]], [[0.1]]]
    assert run(CalibrationMetric(probabilities=True), [sample(scores, [0])])['confidence'] == 75


def test_ignored_images_give_nan_and_wrong_temperatures_are_refused_at_once():
    found = run(CalibrationMetric(), [sample([[[1.0]], [[0.0]]], [255])])
    assert math.isnan(found['ECE']) and math.isnan(found['confidence'])
    with pytest.raises(ValueError, match=r'but are \[0\]'):
        CalibrationMetric(temperatures=[0])
