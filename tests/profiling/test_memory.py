"""Peak memory of a module that allocates known amounts."""

import pytest
import torch
from torch import nn

from mmseg_kd.profiling.memory import peak_memory

CPU = torch.device('cpu')


class Allocates(nn.Module):
    """Holds 4, 8, 4, 12 and 8 megabytes, one after the other."""

    def forward(self):
        a = torch.zeros(1000, 1000)
        b = a + 1
        del a
        return torch.cat([b, b])


def test_peak_memory_on_a_cpu_is_what_was_held_at_once():
    model = Allocates()
    model()
    assert peak_memory(model, CPU) == 12_000_000
    assert peak_memory(lambda: None, CPU) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_peak_memory_on_a_gpu_is_what_was_held_at_once_beyond_what_was_there():
    there = torch.zeros(1000, device='cuda')
    peak = peak_memory(lambda: torch.zeros(1000, 1000, device='cuda'), there.device)
    assert peak == pytest.approx(4_000_000, rel=0.01)
