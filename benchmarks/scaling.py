"""What the processes of a training step send each other: the model of ``mmseg_kd.profiling.communication``, and what
processes on gloo hand to the collective operations.

    python benchmarks/scaling.py mmseg_kd::kd/pi_r101_r18_cityscapes.py --batch 1 --gigabits 100
    python benchmarks/scaling.py --measure --processes 2        # a toy distiller, counted on this machine
"""

import argparse
import socket
import time
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_kd import config_file
from mmseg_kd.io.tables import markdown_table
from mmseg_kd.profiling.communication import GRADIENTS, Traffic, step_traffic
from mmseg_kd.sweep.budget import teachers
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

PROCESSES = (8, 64)
TOY = dict(
    type='Distiller',
    student=toy_segmentor(8),
    teacher=dict(model=toy_segmentor(16)),
    terms=dict(
        loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss')),
        loss_hint=dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss')),
        loss_memory=dict(
            student='backbone[3]',
            teacher='backbone[3]',
            loss=dict(type='CIRKDMemoryLoss', pixel_size=64, region_size=8),
        ),
        loss_channel=dict(
            student='backbone[3]', teacher='backbone[3]', loss=dict(type='CIRKDChannelLoss', size=64, pushed=16)
        ),
        loss_fakd=dict(
            student=['prelogits', 'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'],
            teacher='logits',
            loss=dict(type='FAKDLoss'),
        ),
    ),
)


class Counter:
    """Bytes that this process hands to collective operations, other than gradients, and the seconds of the calls."""

    def __init__(self) -> None:
        self.reduced = self.gathered = self.gradients = 0
        self.seconds = 0.0
        self._saved = dist.all_reduce, dist.all_gather

    def __enter__(self) -> 'Counter':
        reduce, gather = self._saved

        def all_reduce(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            self.reduced += tensor.numel() * tensor.element_size()
            return self._timed(reduce, tensor, *args, **kwargs)

        def all_gather(tensors: list, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            self.gathered += tensor.numel() * tensor.element_size()
            return self._timed(gather, tensors, tensor, *args, **kwargs)

        dist.all_reduce, dist.all_gather = all_reduce, all_gather
        return self

    def __exit__(self, *_: Any) -> None:
        dist.all_reduce, dist.all_gather = self._saved

    def _timed(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        result = function(*args, **kwargs)
        self.seconds += time.perf_counter() - begin
        return result

    def bucket(self, _: Any, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        """The hook of DDP for gradients: their mean, as without a hook."""
        tensor = bucket.buffer()
        self.gradients += tensor.numel() * tensor.element_size()
        tensor.div_(dist.get_world_size())
        work = self._saved[0](tensor, async_op=True).get_future()
        return work.then(lambda done: done.value()[0])


def count(rank: int, port: int, processes: int, images: int, steps: int, file: str) -> None:
    """One process of a training of the toy distiller; rank 0 writes its counts and the model's."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=processes)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(TOY)
    wrapped = MMDistributedDataParallel(module=model, broadcast_buffers=False)
    optimizer = build_optim_wrapper(wrapped, dict(optimizer=dict(type='SGD', lr=0.01)))
    wrapped.train_step(toy_batch(images, seed=rank), optimizer)  # builds the teacher
    counter = Counter()
    wrapped.register_comm_hook(None, counter.bucket)
    with counter:
        for step in range(steps):
            wrapped.train_step(toy_batch(images, seed=processes * step + rank), optimizer)
    if not rank:
        measured = dict(
            gradients=counter.gradients / steps, reduced=counter.reduced / steps, gathered=counter.gathered / steps
        )
        parts = step_traffic(model, images, processes)
        modelled = dict(
            gradients=sum(part.reduced for part in parts if part.name == GRADIENTS),
            reduced=sum(part.reduced for part in parts if part.name != GRADIENTS),
            gathered=sum(part.gathered for part in parts),
        )
        torch.save((modelled, measured), file)
    dist.barrier()
    dist.destroy_process_group()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def traffic_rows(parts: Sequence[Traffic], gigabits: float) -> str:
    """A table of megabytes that a process sends in a step, and the seconds at a bandwidth."""
    rows = [['megabytes per step', *(f'{number} processes' for number in PROCESSES)]]
    for part in parts:
        rows.append([part.name, *(f'{part.sent(number) / 1e6:.3g}' for number in PROCESSES)])
    totals = [sum(part.sent(number) for part in parts) for number in PROCESSES]
    rows.append(['all', *(f'{total / 1e6:.3g}' for total in totals)])
    rows.append([f'milliseconds at {gigabits:g} Gbit/s', *(f'{total * 8e-6 / gigabits:.3g}' for total in totals)])
    return markdown_table(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', help='configs of distillers whose traffic is modelled')
    parser.add_argument('--batch', type=int, default=1, help='number of images per process')
    parser.add_argument('--gigabits', type=float, default=100, help='bandwidth of a process in Gbit/s')
    parser.add_argument('--measure', action='store_true', help='count the traffic of a toy distiller on gloo')
    parser.add_argument('--processes', type=int, default=2, help='number of processes that are counted')
    args = parser.parse_args(arguments)
    init_default_scope('mmseg')
    for name in args.configs:
        config = Config.fromfile(config_file(name))
        for spec in teachers(config):
            spec['checkpoint'] = None
        config.model.student.pretrained = None
        parts = step_traffic(MODELS.build(config.model), args.batch, max(PROCESSES))
        print(f'{name}, {args.batch} image(s) per process\n\n{traffic_rows(parts, args.gigabits)}\n', flush=True)
    if args.measure:
        import tempfile

        with tempfile.NamedTemporaryFile() as file:
            torch.multiprocessing.spawn(
                count, (free_port(), args.processes, 2, 2, file.name), nprocs=args.processes, join=True
            )
            modelled, measured = torch.load(file.name)
        rows = [['bytes per step', 'modelled', 'measured']]
        rows += [[name, str(modelled[name]), f'{measured[name]:.0f}'] for name in modelled]
        print(markdown_table(rows))


if __name__ == '__main__':
    main()
