import torch

from mmseg_kd.profiling import half_precision
from mmseg_kd.profiling.half_precision import relative_cpu_time


def test_the_ratio_is_half_precision_over_float32_and_measured_once(monkeypatch):
    seen = []

    def measure(runs, seconds):
        seen.append({name: run().dtype for name, run in runs.items()})
        return {'half': 3.0, 'float32': 2.0}

    monkeypatch.setattr(half_precision, 'measure_latency', measure)
    relative_cpu_time.cache_clear()
    try:
        assert relative_cpu_time(torch.bfloat16) == relative_cpu_time(torch.bfloat16) == 1.5
    finally:
        relative_cpu_time.cache_clear()
    assert seen == [{'half': torch.bfloat16, 'float32': torch.float32}]
