import pytest

from mmseg_kd.distillers import CosineDecayWeight, CutoffWeight, WarmupWeight


@pytest.mark.parametrize(
    'schedule, expected',
    [
        (WarmupWeight(2.0, iters=10), {0: 0.0, 5: 1.0, 10: 2.0, 99: 2.0}),
        (WarmupWeight(2.0, iters=10, begin=4), {0: 0.0, 4: 0.0, 9: 1.0, 14: 2.0}),
        (CosineDecayWeight(2.0, iters=10, begin=2), {0: 2.0, 2: 2.0, 7: 1.0, 12: 0.0, 99: 0.0}),
        (CosineDecayWeight(2.0, iters=10, final=1.0), {0: 2.0, 5: 1.5, 10: 1.0}),
        (CutoffWeight(2.0, end=3), {0: 2.0, 2: 2.0, 3: 0.0}),
    ],
)
def test_values(schedule, expected):
    assert {i: schedule(i) for i in expected} == pytest.approx(expected)


@pytest.mark.parametrize('schedule', [WarmupWeight, CosineDecayWeight])
def test_a_length_of_zero_is_refused(schedule):
    with pytest.raises(ValueError, match='iters must be > 0, but is 0'):
        schedule(1.0, iters=0)
