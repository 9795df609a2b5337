"""Latency by a clock that the test sets."""

from types import SimpleNamespace

from mmseg_kd.profiling import latency
from mmseg_kd.profiling.latency import measure_latency


def test_latency_is_the_median_after_a_warm_up_and_networks_take_turns(monkeypatch):
    calls, clock = [], [0.0]
    durations = dict(slow=iter([9, 9, 9, 5, 1, 2, 3, 4]), quick=iter([9, 9, 9, 1, 1, 1, 1, 70]))

    def run(name):
        calls.append(name)
        clock[0] += next(durations[name])

    monkeypatch.setattr(latency, 'time', SimpleNamespace(perf_counter=lambda: clock[0]))
    found = measure_latency(dict(slow=lambda: run('slow'), quick=lambda: run('quick')), seconds=1)
    assert found == dict(slow=3, quick=1)
    assert calls[:6] == ['slow'] * 3 + ['quick'] * 3 and calls[6:] == ['slow', 'quick'] * 5


def test_latency_is_measured_for_the_seconds_but_not_less_than_5_nor_more_than_200_times(monkeypatch):
    monkeypatch.setattr(latency, 'WARM_UP', 0)
    clock = [0.0]
    monkeypatch.setattr(latency, 'time', SimpleNamespace(perf_counter=lambda: clock[-1]))
    measure_latency(dict(a=lambda: clock.append(clock[-1] + 0.25)), seconds=4)
    assert len(clock) - 1 == 16
    clock[1:] = []
    measure_latency(dict(a=lambda: clock.append(clock[-1] + 9)), seconds=4)
    assert len(clock) - 1 == 5
    clock[1:] = []
    measure_latency(dict(a=lambda: clock.append(clock[-1])), seconds=4)
    assert len(clock) - 1 == 200
