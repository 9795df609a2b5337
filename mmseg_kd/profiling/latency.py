"""Latency: the median time of a call."""

import statistics
import time
from collections.abc import Callable
from typing import Any

LEAST_REPEATS, MOST_REPEATS, WARM_UP = 5, 200, 3


def measure_latency(runs: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Median seconds of a call by name, after a warm-up.

    Calls are interleaved, so background load affects all functions equally.

    Args:
        runs: Functions by name; each returns when its computation is finished.
        seconds: Minimal duration of all calls together. Each function is called at least 5 and at most 200 times.
    """
    for run in runs.values():
        for _ in range(WARM_UP):
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    begin = time.perf_counter()
    for repeat in range(MOST_REPEATS):
        if repeat >= LEAST_REPEATS and time.perf_counter() - begin >= seconds:
            break
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}
