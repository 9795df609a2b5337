"""The students of multistage collaborative distillation: DeepLabV3+ on Swin-T, whole or with its backbone frozen."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from fork_server import run_ranks
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_kd.testing.toys import toy_batch

FILES = Path(__file__).resolve().parents[2] / 'configs/_base_/models'


def build(name, num_classes=19):
    config = Config.fromfile(FILES / f'{name}.py').model
    config.backbone.init_cfg = None
    config.data_preprocessor.size = (64, 64)
    config.decode_head.num_classes = num_classes
    return revert_sync_batchnorm(MODELS.build(config)).train()


def millions(parameters):
    return sum(p.numel() for p in parameters) / 1e6


def backward(model):
    losses = model(**model.data_preprocessor(toy_batch(size=64, num_classes=19), True), mode='loss')
    model.parse_losses(losses)[0].backward()
    return losses


@pytest.mark.parametrize('num_classes', [19, 133])
def test_trains_the_published_number_of_parameters(num_classes):
    frozen, whole = (build(name, num_classes) for name in ('deeplabv3plus_swint_frozen', 'deeplabv3plus_swint'))
    assert round(millions(frozen.parameters())) == round(millions(whole.parameters())) == 34
    assert round(millions(p for p in frozen.parameters() if p.requires_grad), 1) == 6.7
    assert all(p.requires_grad for p in whole.parameters())


def test_a_frozen_backbone_gets_no_gradient_and_drops_no_path():
    model = build('deeplabv3plus_swint_frozen')
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = torch.randn(2, 3, 64, 64)
    for first, second in zip(model.extract_feat(images), model.extract_feat(images)):
        assert torch.equal(first, second) and not first.requires_grad
    losses = backward(model)
    assert all(torch.isfinite(value).all() for value in losses.values())
    assert {'decode.loss_ce', 'decode.loss_dice'} <= losses.keys()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert all(p.grad is not None for p in model.decode_head.parameters())
    torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1).step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and all(name.startswith('decode_head.') for name in moved)
    assert {name for name, _ in model.decode_head.named_parameters(prefix='decode_head')} <= moved


def test_a_whole_backbone_learns_and_drops_paths():
    model = build('deeplabv3plus_swint')
    images = torch.randn(2, 3, 64, 64)
    assert not torch.equal(model.extract_feat(images)[1], model.extract_feat(images)[1])
    backward(model)
    assert all(p.grad is not None for p in model.backbone.parameters())


def work(rank, port):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=1)
    import mmseg_kd  # noqa: F401

    init_default_scope('mmseg')
    unused = Config.fromfile(FILES / 'deeplabv3plus_swint_frozen.py').find_unused_parameters
    config = Config.fromfile(FILES / 'deeplabv3plus_swint_frozen.py').model
    config.backbone.update(init_cfg=None, embed_dims=24)
    config.decode_head.update(in_channels=192, c1_in_channels=24, channels=16)
    config.data_preprocessor.size = (64, 64)
    # As the Runner does: distributed first, set to training, and so frozen, later.
    model = MMDistributedDataParallel(
        module=revert_sync_batchnorm(MODELS.build(config)), broadcast_buffers=False, find_unused_parameters=unused
    )
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = {name: weight.clone() for name, weight in model.module.named_parameters()}
    for _ in range(2):
        model.train().train_step(toy_batch(size=64, num_classes=19), optim)
    moved = {
        name.split('.')[0] for name, weight in model.module.named_parameters() if not torch.equal(weight, before[name])
    }
    # The number of a process that is spawned is all that it can hand back.
    os._exit(0 if 'decode_head' in moved and 'backbone' not in moved else 1)


@pytest.mark.skipif(not dist.is_gloo_available(), reason='torch without gloo')
def test_a_backbone_that_freezes_itself_after_it_was_distributed_stops_no_step():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    run_ranks(work, (port,), nprocs=1)
