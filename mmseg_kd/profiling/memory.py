"""Peak memory of a call."""

from collections.abc import Callable
from typing import Any

import torch


def peak_memory(run: Callable[[], Any], device: torch.device) -> int:
    """Peak of the bytes that torch allocates during a call, beyond those allocated before.

    On a GPU, torch counts them. On a CPU, they are summed over the allocations and releases in torch's profile.
    Neither includes memory that Python or other libraries allocate.

    Args:
        run: Function to call.
        device: Device of the computation.
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
