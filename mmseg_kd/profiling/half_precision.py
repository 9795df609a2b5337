"""Whether half precision saves time on a device."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .latency import measure_latency

CHANNELS, SIDE = 64, 16  # half a millisecond in float32


@functools.cache
def relative_cpu_time(dtype: torch.dtype) -> float:
    """Time of a convolution on this CPU in a precision, divided by its time in float32; measured once per process.

    CPUs without instructions for a precision emulate it, which takes several times as long.

    Args:
        dtype: The precision.
    """
    images, weights = torch.ones(1, CHANNELS, SIDE, SIDE), torch.ones(CHANNELS, CHANNELS, 3, 3)

    def convolution(kind: torch.dtype) -> Callable[[], Tensor]:
        pixels, kernel = images.to(kind), weights.to(kind)
        return lambda: F.conv2d(pixels, kernel, padding=1)

    with torch.no_grad():
        times = measure_latency({'half': convolution(dtype), 'float32': convolution(torch.float32)}, seconds=0.0)
    return times['half'] / times['float32']
