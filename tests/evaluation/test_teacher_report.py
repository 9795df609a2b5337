"""Reports of a teacher's output."""

import csv
import math

import pytest
from random_outputs import TEMPERATURES, images, statistics_of

from mmseg_kd.evaluation.teacher_report import entropy_csv, reliability_csv, suggest_temperatures, teacher_report


@pytest.mark.parametrize(
    'medians, good, word',
    [
        ([0.02, 0.3, 0.8, 0.95], [2, 4], 'the median entropy lies between'),
        ([0.02, 0.05, 0.95, 0.99], [math.sqrt(8)], 'between those below and those above'),
        ([0.01, 0.02, 0.03, 0.04], [16], 'twice the highest'),
        ([0.95, 0.96, 0.97, 0.98], [0.5], 'half the lowest'),
    ],
)
def test_temperatures_are_suggested_by_their_median(medians, good, word):
    suggested, rule = suggest_temperatures([1, 2, 4, 8], medians)
    assert suggested == pytest.approx(good) and word in rule


def test_the_report_says_what_was_found_and_what_to_try():
    statistics = statistics_of(images())
    text = teacher_report('a teacher', statistics)
    (found,) = [line.split('|')[2:-1] for line in text.splitlines() if line.startswith('| teacher')]
    expected = [100 * value for value in (statistics.miou, statistics.accuracy, statistics.confidence, statistics.ece)]
    assert [float(cell) for cell in found] == pytest.approx(expected, abs=0.0051)
    assert 'log C = 1.609 nats' in text
    (row,) = [line.split('|')[1:-1] for line in text.splitlines() if line.startswith('| 0.3 to 0.4')]
    assert row[1].strip() == '0.48 to 0.64'
    assert [float(cell) for cell in row[2:]] == pytest.approx(100 * statistics.shares(10)[:, 3], abs=0.0051)
    suggested, rule = suggest_temperatures(TEMPERATURES, statistics.median_entropy())
    assert f'Temperatures to try: {", ".join(f"{t:g}" for t in suggested)}. Rule: {rule}. This is' in text


def test_csv_holds_every_bin_of_both_diagrams():
    statistics = statistics_of(images(), [1, 2.5])
    entropy = list(csv.DictReader(entropy_csv(statistics).splitlines()))
    assert len(entropy) == 200 and list(entropy[0])[-2:] == ['share_T1', 'share_T2.5']
    assert [float(row['share_T2.5']) for row in entropy] == pytest.approx(statistics.shares()[1], abs=1e-6)
    assert float(entropy[-1]['to_nats']) == pytest.approx(math.log(5), abs=1e-4)
    reliability = list(csv.DictReader(reliability_csv(statistics).splitlines()))
    assert sum(int(row['pixels']) for row in reliability) == statistics.pixels and len(reliability) == 15
