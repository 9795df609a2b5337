"""Two processes on gloo: gradients of everything that learns are shared, also those of adapters and critics."""

import socket

import pytest
import torch
import torch.distributed as dist
from fork_server import run_ranks
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_kd.testing.toys import toy_batch, toy_segmentor

MODEL = dict(
    type='Distiller',
    student=toy_segmentor(4),
    teacher=dict(model=toy_segmentor(8)),
    terms=dict(
        loss_hint=dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss')),
        loss_ho=dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'), weight=0.1),
        loss_off=dict(student='backbone[2]', teacher='backbone[2]', loss=dict(type='HintLoss'), weight=0.0),
    ),
)
OPTIM = dict(
    constructor='DistillOptimWrapperConstructor',
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1),
    critic=dict(optimizer=dict(type='SGD', lr=0.1)),
)


def work(rank, port, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    import mmseg_kd  # noqa: F401

    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(MODEL)
    teacher = model.teachers[''].module
    wrapped = MMDistributedDataParallel(module=model, broadcast_buffers=False)
    optim = build_optim_wrapper(wrapped, OPTIM)
    torch.manual_seed(rank)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for step in range(2):
        wrapped.train_step(toy_batch(seed=10 * rank + step), optim)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    torch.save((dict(model.named_parameters()), moved, len(list(teacher.parameters()))), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_gloo_available(), reason='torch without gloo')
def test_two_ranks_with_other_data_stay_equal(tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    run_ranks(work, (port, str(tmp_path)), nprocs=2)
    (first, moved, _), (second, _, _) = (torch.load(tmp_path / f'{rank}.pth', weights_only=False) for rank in range(2))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    for part in ('student.backbone', 'student.decode_head', 'terms.loss_hint.adapters', 'terms.loss_ho.loss.critic'):
        assert any(name.startswith(part) for name in moved), part
    assert not any(name.startswith('terms.loss_off') for name in moved)
