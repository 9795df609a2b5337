"""The model of the traffic between processes, against two processes on gloo."""

import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from fork_server import run_ranks

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))

import scaling as benchmark  # noqa: E402


@pytest.mark.slow
@pytest.mark.skipif(not dist.is_gloo_available(), reason='torch without gloo')
def test_two_processes_send_what_the_model_says(tmp_path):
    file = tmp_path / 'traffic.pth'
    run_ranks(benchmark.count, (benchmark.free_port(), 2, 2, 1, str(file)), nprocs=2)
    modelled, measured = torch.load(file)
    assert measured == modelled and min(measured.values()) > 0


def test_the_table_grows_with_the_processes_for_gathered_vectors_only():
    parts = [benchmark.Traffic('gradients', reduced=1_000_000), benchmark.Traffic('loss_memory', gathered=1_000_000)]
    lines = [[cell.strip() for cell in line.split('|')[1:-1]] for line in benchmark.traffic_rows(parts, 8).splitlines()]
    assert lines[2:] == [
        ['gradients', '1.75', '1.97'],
        ['loss_memory', '7', '63'],
        ['all', '8.75', '65'],
        ['milliseconds at 8 Gbit/s', '8.75', '65'],
    ]
