"""Peak memory of a call."""

from collections.abc import Callable
from typing import Any

import torch


def peak_memory(run: Callable[[], Any], device: torch.device) -> int:
    """The most bytes that torch's allocator had handed out at once during a call, beyond those before it.

    On a GPU they are torch's own count; on a CPU they are added up from the allocations and releases that torch's
    profiler records. Neither knows what libraries take by themselves, or Python.

    Args:
        run: what to call.
        device: that it computes on.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with torch.autograd.profiler.profile(profile_memory=True) as profiler:
        run()
    events = [event for event in profiler.kineto_results.events() if event.name() == '[memory]']
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak
