import importlib.util

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_kd import config_file
from mmseg_kd.distillers import Taps
from mmseg_kd.models import CompactEncoder, CompactHead
from mmseg_kd.testing.toys import toy_batch

CHANNELS = (32, 32, 64, 128, 256)


def compact(num_classes=21, **backbone):
    model = Config.fromfile(config_file('mmseg_kd::_base_/models/compact.py')).model
    model.decode_head.num_classes = num_classes
    model.backbone.update(backbone)
    if 'channels' in backbone:
        model.decode_head.in_channels = list(backbone['channels'])
    return MODELS.build(model)


def thin():
    return compact(4, channels=(4, 4, 6, 8, 10), blocks=(1, 2, 1, 1))


def counted(channels, blocks, classes, last):
    """Parameters by hand: weights of the convolutions, two numbers a channel of each normalization, one bias."""

    def conv(kernel, inputs, outputs):
        return kernel**2 * inputs * outputs + 2 * outputs

    total = conv(3, 3, channels[0])
    for i, number in enumerate(blocks):
        inputs, outputs = channels[i], channels[i + 1]
        total += conv(3, inputs, outputs) + (2 * number - 1) * conv(3, outputs, outputs)
        total += conv(1, inputs, outputs) if i > 0 or inputs != outputs else 0
    widths = [last, *channels[1:]]
    for i in range(4):
        total += conv(4, widths[i + 1], widths[i]) + conv(1, channels[i], widths[i])
    return total + (last + 1) * classes


def test_has_the_published_size_at_21_classes():
    parameters = sum(p.numel() for p in compact().parameters())
    assert parameters == counted(CHANNELS, (2, 4, 2, 2), 21, 16) == 3_662_661
    assert round(parameters / 1e6, 1) == 3.7


@pytest.mark.parametrize('size', [(224, 224), (97, 131), (65, 33), (1, 1)])
def test_gives_logits_at_half_the_size_whatever_it_is(size):
    model = thin().eval()
    images = torch.randn(2, 3, *size)
    sides = [[-(-side // 2**i) for side in size] for i in range(1, 6)]
    assert [list(f.shape) for f in model.extract_feat(images)] == [[2, c, *s] for c, s in zip((4, 4, 6, 8, 10), sides)]
    assert list(model(images, mode='tensor').shape) == [2, 4, *sides[0]]


def test_predicts_at_the_size_of_the_image():
    model = thin().eval()
    batch = toy_batch(2, size=45)
    predicted = model.test_step(batch)
    assert all(sample.pred_sem_seg.data.shape == (1, 45, 45) for sample in predicted)


def test_every_parameter_gets_a_gradient():
    model = compact().train()
    batch = model.data_preprocessor(toy_batch(2, size=64), True)
    losses = model(**batch, mode='loss')
    losses['decode.loss_ce'].backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


def test_a_step_up_adds_the_projected_level_to_the_transposed_convolution():
    """In numpy: every pixel below paints the kernel around its place, the rim and the odd row are cut off."""
    head = CompactHead([2, 3], 4, 5, in_index=(0, 1)).double().eval()
    step = head.steps[0]
    fine, coarse = torch.randn(1, 2, 5, 6, dtype=torch.float64), torch.randn(1, 3, 3, 3, dtype=torch.float64)
    kernel, projection = step.up[0].weight.detach().numpy(), step.project[0].weight.detach().numpy()[..., 0, 0]
    painted = np.zeros((4, 8, 8))
    for i in range(3):
        for j in range(3):
            painted[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += np.einsum(
                'c,cokl->okl', coarse[0, :, i, j].numpy(), kernel
            )
    scale = 1 / np.sqrt(1 + 1e-5)  # of fresh statistics
    expected = painted[:, 1:6, 1:7] * scale + np.einsum('oc,chw->ohw', projection, fine[0].numpy()) * scale
    np.testing.assert_allclose(step(coarse, fine)[0].detach().numpy(), np.maximum(expected, 0), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(head((fine, coarse)), head.conv_seg(step(coarse, fine)))


def test_a_block_is_two_convolutions_beside_a_shortcut():
    encoder = CompactEncoder(channels=(4, 4, 6, 8, 10), blocks=(1, 1, 1, 1)).eval()
    first, second = encoder.stages[0][0], encoder.stages[1][0]
    x = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(first(x), (first.convs(x) + x).relu())
    assert second.shortcut[0].kernel_size == (1, 1) and second.shortcut[0].stride == (2, 2)
    torch.testing.assert_close(second(x), (second.convs(x) + second.shortcut(x)).relu())


def test_heads_of_mmsegmentation_work_on_the_encoder():
    model = Config.fromfile(config_file('mmseg_kd::_base_/models/compact.py')).model
    model.decode_head = dict(
        type='FCNHead', in_channels=128, in_index=3, channels=8, num_convs=1, num_classes=4, norm_cfg=dict(type='BN')
    )
    assert MODELS.build(model)(torch.randn(2, 3, 64, 64), mode='tensor').shape == (2, 4, 4, 4)


def test_taps_read_what_distillation_compares():
    model = thin()
    paths = ['backbone[1]', 'backbone[4]', 'decode_head.steps.0', 'prelogits', 'logits']
    with Taps(model, paths) as values:
        model(torch.randn(2, 3, 64, 64), mode='tensor')
    assert [values[path].shape[1:] for path in paths] == [(4, 16, 16), (10, 2, 2), (8, 4, 4), (16, 32, 32), (4, 32, 32)]


@pytest.mark.parametrize('arguments', [dict(channels=(1, 2, 3, 4)), dict(blocks=(1, 2, 3))])
def test_wrong_numbers_of_stages_are_told(arguments):
    with pytest.raises(ValueError, match='CompactEncoder: channels must be five numbers .* and blocks four, but they'):
        CompactEncoder(**arguments)


def test_a_trace_serves_other_sizes():
    model = thin().eval()
    traced = torch.jit.trace(model, torch.randn(2, 3, 97, 131))
    images = torch.randn(1, 3, 64, 75)
    torch.testing.assert_close(traced(images), model(images))


def test_an_exported_program_serves_other_batches_and_sizes():
    model = thin().eval()
    batch = torch.export.Dim('batch', min=1, max=64)
    height, width = (32 * torch.export.Dim(name, min=2, max=64) for name in ('height', 'width'))
    program = torch.export.export(
        model, (torch.randn(2, 3, 96, 128),), dynamic_shapes=({0: batch, 2: height, 3: width},)
    )
    images = torch.randn(3, 3, 160, 64)
    torch.testing.assert_close(program.module()(images), model(images))
    odd = torch.randn(2, 3, 97, 131)
    torch.testing.assert_close(torch.export.export(model, (odd,)).module()(odd), model(odd))


@pytest.mark.skipif(importlib.util.find_spec('onnx') is None, reason='onnx is not installed')
def test_an_onnx_file_can_be_written(tmp_path):
    import onnx

    torch.onnx.export(thin().eval(), (torch.randn(1, 3, 64, 64),), str(tmp_path / 'compact.onnx'), dynamo=False)
    onnx.checker.check_model(onnx.load(str(tmp_path / 'compact.onnx')))
