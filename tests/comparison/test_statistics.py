import math

import pytest

from mmseg_kd.comparison.statistics import Spread, as_good_as_best, paired_difference, spread


def test_std_is_the_sample_std():
    # Sum 40 of 8; squared distances 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32; 32 / 7.
    found = spread([2, 4, 4, 4, 5, 5, 7, 9])
    assert found.mean == 5 and found.count == 8
    assert found.std == pytest.approx(math.sqrt(32 / 7), rel=1e-12)


def test_a_single_value_has_no_std():
    assert spread([3.5]) == Spread(3.5, None, 1)


@pytest.mark.parametrize('values', [[], [1.0, float('nan')], [float('inf')]])
def test_a_mean_needs_finite_values(values):
    with pytest.raises(ValueError, match='at least one value, all of them finite'):
        spread(values)


def test_paired_difference_by_hand():
    # Differences 1, 2, 3: mean 2, std 1; t = 4.30265 at two degrees of freedom; 4.30265 / sqrt(3) = 2.48414.
    found = paired_difference({0: 11.0, 1: 22.0, 2: 33.0}, {0: 10.0, 1: 20.0, 2: 30.0})
    assert found.mean == 2 and found.pairs == 3
    assert found.low == pytest.approx(2 - 2.48414, abs=1e-5) and found.high == pytest.approx(2 + 2.48414, abs=1e-5)


def test_a_lower_confidence_gives_a_narrower_interval():
    ours, theirs = {0: 11.0, 1: 22.0, 2: 33.0}, {0: 10.0, 1: 20.0, 2: 30.0}
    # 0.95 quantile at two degrees of freedom: 2.91999; divided by sqrt(3): 1.68586.
    assert paired_difference(ours, theirs, 0.9).high == pytest.approx(2 + 1.68586, abs=1e-5)


def test_only_common_keys_are_paired():
    found = paired_difference({0: 5.0, 7: 100.0, 2: 6.0}, {2: 4.0, 0: 4.0, 3: 0.0})
    assert found.mean == 1.5 and found.pairs == 2
    single = paired_difference({0: 5.0, 7: 100.0}, {0: 4.0})
    assert (single.mean, single.low, single.high, single.pairs) == (1.0, None, None, 1)
    assert paired_difference({0: 5.0}, {1: 4.0}) is None


@pytest.mark.parametrize('confidence', [0.0, 1.0, 95])
def test_confidence_is_a_share(confidence):
    with pytest.raises(ValueError, match='between 0 and 1, such as 0.95'):
        paired_difference({0: 1.0}, {0: 1.0}, confidence)


def test_results_within_one_std_of_the_best_by_hand():
    # The best is 70 with std 1: down to 69 is within it, whatever the std of the others.
    spreads = [Spread(68.9, 5.0, 3), Spread(70.0, 1.0, 3), Spread(69.0, 0.1, 3), Spread(69.4, None, 1)]
    assert as_good_as_best(spreads) == ['', 'best', 'within', 'within']


def test_no_result_is_within_the_std_of_a_single_run():
    assert as_good_as_best([Spread(70.0, None, 1), Spread(69.99, 3.0, 3)]) == ['best', '']


def test_equal_means_have_equal_marks():
    assert as_good_as_best([Spread(2.0, 1.0, 2), Spread(2.0, 0.5, 2), Spread(0.5, 0.1, 2)]) == ['best', 'best', '']
    assert as_good_as_best([Spread(0.0, None, 1)] * 3) == [''] * 3
    assert as_good_as_best([]) == []
