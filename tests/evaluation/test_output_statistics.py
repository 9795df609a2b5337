"""Statistics of outputs, beside brute force."""

import math
import pickle

import numpy as np
import pytest
import torch
from random_outputs import TEMPERATURES, images, statistics_of

from mmseg_kd.evaluation.output_statistics import OutputStatistics


def reference(pairs, temperature):
    """All pixels at once, in float64: probabilities (P, C), labels (P,), entropies (P,) in nats."""
    logits = np.concatenate([z.flatten(1).T.double().numpy() for z, _ in pairs])
    labels = np.concatenate([y.flatten().numpy() for _, y in pairs])
    kept = labels != 255
    z = logits[kept] / temperature
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p, labels[kept], -(p * np.log(np.maximum(p, 1e-300))).sum(1)


def test_expected_calibration_error_of_four_pixels_by_hand():
    """Two at confidence 0.9 (one right), one at 0.62 (right), one at 0.7 (wrong): |1 - 1.8| + |1 - 0.62| + |0 - 0.7|.

    No confidence lies on an edge k / 15 of a bin: rounding would decide on which side of it.
    """
    confidence = torch.tensor([0.9, 0.9, 0.62, 0.7])
    logits = torch.stack([confidence.log(), (1 - confidence).log()])[:, None]
    statistics = statistics_of([(logits, torch.tensor([[0, 1, 0, 1]]))], [1], classes=2)
    assert statistics.ece == pytest.approx((0.8 + 0.38 + 0.7) / 4, abs=1e-6)
    assert statistics.accuracy == 0.5 and statistics.confidence == pytest.approx(3.12 / 4, abs=1e-6)
    filled = [
        (round(low, 3), round(high, 3), pixels, accuracy, round(mean, 4))
        for low, high, pixels, accuracy, mean in statistics.reliability()
        if pixels
    ]
    assert filled == [(0.6, 0.667, 1, 1.0, 0.62), (0.667, 0.733, 1, 0.0, 0.7), (0.867, 0.933, 2, 0.5, 0.9)]


def test_calibration_matches_brute_force():
    pairs = list(images(size=(40, 41)))
    statistics = statistics_of(pairs)
    p, labels, _ = reference(pairs, 1)
    confidence, right = p.max(1), p.argmax(1) == labels
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert statistics.ece == pytest.approx(expected, abs=1e-6)
    assert statistics.accuracy == pytest.approx(right.mean()) and statistics.pixels == len(labels)


def test_a_network_that_is_sure_and_right_has_no_error_and_one_that_is_sure_and_wrong_all_of_it():
    logits = torch.full((3, 2, 2), -50.0)
    logits[1] = 50.0
    assert statistics_of([(logits, torch.ones(2, 2, dtype=torch.long))], classes=3).ece == pytest.approx(0, abs=1e-9)
    assert statistics_of([(logits, torch.zeros(2, 2, dtype=torch.long))], classes=3).ece == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize('temperature', TEMPERATURES)
def test_entropy_histogram_matches_brute_force(temperature):
    pairs = list(images(size=(40, 41)))
    statistics = statistics_of(pairs)
    i = TEMPERATURES.index(temperature)
    _, labels, entropy = reference(pairs, temperature)
    expected, _ = np.histogram(entropy / math.log(5), bins=20, range=(0, 1))
    # A pixel on an edge may fall on its other side in single precision.
    assert np.abs(statistics.shares(20)[i] - expected / len(labels)).sum() <= 4 / len(labels)
    assert statistics.mean_entropy()[i] == pytest.approx(entropy.mean() / math.log(5), abs=1e-5)
    assert statistics.median_entropy()[i] == pytest.approx(np.median(entropy) / math.log(5), abs=1 / 200)
    assert statistics.shares().sum(1) == pytest.approx(1)


def test_image_by_image_equals_all_at_once_and_chunk_by_chunk(monkeypatch):
    pairs = list(images(num=4))
    streamed = statistics_of(pairs)
    tall = torch.cat([z for z, _ in pairs], dim=1), torch.cat([y for _, y in pairs])
    at_once = statistics_of([tall])
    monkeypatch.setattr('mmseg_kd.evaluation.output_statistics.PIXELS_AT_ONCE', 7)
    in_chunks = statistics_of([tall])
    assert (streamed.images, at_once.images) == (4, 1)
    for other in (at_once, in_chunks):
        assert np.array_equal(streamed.iou, other.iou) and streamed.pixels == other.pixels == 4 * 10 * 17
        # The last digit of an exponential depends on its place in a vector, so a pixel on an edge may change its bin.
        assert np.abs(streamed.shares() - other.shares()).sum() <= 4 / streamed.pixels
        assert streamed.ece == pytest.approx(other.ece, abs=1e-6)
        assert streamed.mean_entropy() == pytest.approx(other.mean_entropy(), abs=1e-6)


def test_the_sum_of_two_counts_the_pixels_of_both():
    pairs = list(images(num=3))
    first, second, both = statistics_of(pairs[:1]), statistics_of(pairs[1:]), statistics_of(pairs)
    before = first.pixels
    total = first + second
    assert (total.images, total.pixels, first.pixels) == (3, both.pixels, before)
    assert np.array_equal(total.shares(), both.shares()) and np.array_equal(total.iou, both.iou)
    assert total.ece == pytest.approx(both.ece, abs=1e-12)


def test_memory_does_not_grow_with_the_pixels():
    few, many = (len(pickle.dumps(statistics_of(images(num, size=size)))) for num, size in ((1, (9, 9)), (9, (50, 60))))
    assert abs(few - many) < 50


def test_a_high_temperature_gives_the_greatest_entropy_and_a_low_one_none():
    statistics = statistics_of(images(), [1e-4, 1e4])
    assert statistics.shares(10)[1, -1] == 1 and statistics.mean_entropy()[1] == pytest.approx(1, abs=1e-6)
    assert statistics.shares(10)[0, 0] == 1 and statistics.mean_entropy()[0] == pytest.approx(0, abs=1e-3)
    assert statistics.median_entropy()[1] > 0.99 and statistics.median_entropy()[0] < 0.01


def test_equal_logits_have_the_entropy_of_all_classes_at_every_temperature():
    statistics = statistics_of([(torch.zeros(5, 3, 3), torch.zeros(3, 3, dtype=torch.long))])
    assert statistics.mean_entropy() == pytest.approx(1) and (statistics.shares(200)[:, -1] == 1).all()
    assert statistics.max_entropy == pytest.approx(math.log(5))


def test_void_pixels_count_for_nothing():
    ((logits, labels),) = images(num=1)
    other = logits.clone()
    other[:, :2] = float('nan')
    some, same = statistics_of([(logits, labels)]), statistics_of([(other, labels)])
    assert some.pixels == 10 * 17 == same.pixels
    assert np.array_equal(some.shares(), same.shares()) and some.ece == same.ece and np.array_equal(some.iou, same.iou)


def test_miou_leaves_out_classes_that_are_nowhere():
    logits = torch.nn.functional.one_hot(torch.tensor([[0, 0, 1, 1]]), 4).permute(2, 0, 1).float()
    statistics = statistics_of([(logits, torch.tensor([[0, 1, 1, 1]]))], classes=4)
    assert statistics.iou[:2].tolist() == [1 / 2, 2 / 3] and np.isnan(statistics.iou[2:]).all()
    assert statistics.miou == pytest.approx((1 / 2 + 2 / 3) / 2)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda z, y: (z, y + 3), 'labels must lie in 0\\.\\.4 or be 255 \\(ignored\\), but an image holds 0\\.\\.7'),
        (
            lambda z, y: (z, y[:, :4]),
            r'labels must have the size of the original image, \(12, 17\), but have \(12, 4\)',
        ),
        (lambda z, y: (z * float('nan'), y), "teacher's logits must be finite"),
    ],
)
def test_what_cannot_be_counted_is_refused(change, message):
    ((logits, labels),) = images(num=1)
    labels = labels.clamp(max=4)
    with pytest.raises(ValueError, match=message):
        statistics_of([change(logits, labels)])


@pytest.mark.parametrize(
    'arguments, message',
    [
        ((1, [1]), 'at least 2 logits per pixel, but the network has 1'),
        ((5, []), 'different numbers > 0, at least one, but are \\[\\]'),
        ((5, [1, 0]), 'but are \\[1, 0\\]'),
        ((5, [2, 2]), 'but are \\[2, 2\\]'),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        OutputStatistics(*arguments)


def test_bins_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match='bins must divide 200, but is 7'):
        statistics_of(images()).shares(7)
