import socket

import pytest
import torch
import torch.distributed as dist
from fork_server import run_ranks
from mmcv.cnn import build_norm_layer
from mmengine.registry import init_default_scope
from torch import nn

from mmseg_kd.models import BatchStatisticsNorm


def features(seed=0, images=4):
    return 3 + 2 * torch.randn(images, 5, 6, 7, generator=torch.Generator().manual_seed(seed))


def with_weights(layer):
    generator = torch.Generator().manual_seed(9)
    for tensor in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
        tensor.uniform_(0.5, 2, generator=generator)
    return layer


def in_train_mode(x):
    return with_weights(nn.BatchNorm2d(5, eps=1e-3)).train()(x)


def test_in_eval_mode_it_does_what_a_batch_norm_does_in_train_mode():
    layer = with_weights(BatchStatisticsNorm(5, eps=1e-3)).eval()
    torch.testing.assert_close(layer(features()), in_train_mode(features()))


def test_it_takes_the_weights_of_a_batch_norm_and_moves_no_statistics():
    layer, reference = BatchStatisticsNorm(5), with_weights(nn.BatchNorm2d(5))
    layer.load_state_dict(reference.state_dict())
    layer.train()(features())
    assert all(torch.equal(value, reference.state_dict()[name]) for name, value in layer.state_dict().items())


def test_a_single_value_becomes_the_bias():
    layer = with_weights(BatchStatisticsNorm(5)).eval()
    torch.testing.assert_close(layer(features()[:1, :, :1, :1]).flatten(), layer.bias)


def test_a_config_names_it_and_half_precision_stays():
    init_default_scope('mmseg')
    _, layer = build_norm_layer(dict(type='BatchStatisticsBN', requires_grad=True), 5)
    assert isinstance(layer, BatchStatisticsNorm)
    x = features().bfloat16()
    output = layer.eval().bfloat16()(x)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), nn.BatchNorm2d(5)(x.float()), atol=0.05, rtol=0.05)


def work(rank, port, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    layer = with_weights(BatchStatisticsNorm(5, eps=1e-3)).eval()
    torch.save(layer(features(images=4)[2 * rank : 2 * rank + 2]).detach(), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_gloo_available(), reason='torch without gloo')
def test_two_processes_share_their_statistics(tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    run_ranks(work, (port, str(tmp_path)), nprocs=2)
    found = torch.cat([torch.load(tmp_path / f'{rank}.pth') for rank in range(2)])
    torch.testing.assert_close(found, in_train_mode(features()))
