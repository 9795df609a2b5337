import pytest

from mmseg_kd.distillers import CosineDecayWeight, CutoffWeight, PhaseWeight, WarmupWeight
from mmseg_kd.distillers.schedules import level_at


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


def test_a_phase_is_counted_in_fractions_of_training_of_any_length():
    schedule = PhaseWeight(2.0, begin=0.2, rise=0.2, fall=0.4, end=0.9)
    levels = {0.0: 0.0, 0.19: 0.0, 0.3: 1.0, 0.4: 2.0, 0.5: 2.0, 0.7: 1.0, 0.9: 0.0, 1.0: 0.0}
    for total in (100, 80000):
        assert {p: level_at(schedule, round(p * total), total) for p in levels} == pytest.approx(levels)


@pytest.mark.parametrize('wrong', [dict(begin=0.5, end=0.5), dict(end=1.5), dict(begin=-0.1), dict(rise=0.6, fall=0.6)])
def test_a_phase_lies_within_training(wrong):
    with pytest.raises(ValueError, match='PhaseWeight: (begin and end|rise and fall) must be'):
        PhaseWeight(1.0, **wrong)


def test_a_phase_holds_its_first_and_its_last_moment():
    schedule = PhaseWeight(2.0, begin=0.25, end=0.75)
    assert [schedule(moment) for moment in (0.24, 0.25, 0.75, 0.76)] == [0.0, 2.0, 2.0, 0.0]
