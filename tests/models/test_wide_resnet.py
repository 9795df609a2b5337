import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from mmseg_kd.models import WideResNet

NAMES = {50: 'wide_resnet50_2', 101: 'wide_resnet101_2'}


def torchvision_network(depth):
    """A network with random weights and random statistics."""
    network = getattr(pytest.importorskip('torchvision').models, NAMES[depth])()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def build(**settings):
    model = MODELS.build(dict(type='WideResNet', **settings))
    model.eval()
    return model


@pytest.mark.parametrize('depth, millions', [(50, 66.83), (101, 124.84)])
def test_it_has_the_parameters_of_torchvisions_without_the_classifier(depth, millions):
    with torch.device('meta'):
        network = build(depth=depth)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize('depth', NAMES)
def test_the_weights_have_torchvisions_names_and_shapes(depth):
    with torch.device('meta'):
        known = torchvision_network(depth).state_dict()
        own = build(depth=depth).state_dict()
    assert {name: value.shape for name, value in known.items() if not name.startswith('fc.')} == {
        name: value.shape for name, value in own.items()
    }


@pytest.mark.parametrize('where', ['init_cfg', 'segmentor'])
def test_a_checkpoint_of_torchvision_gives_its_outputs(tmp_path, where):
    reference = torchvision_network(50)
    torch.save(reference.state_dict(), tmp_path / 'wide.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'wide.pth'))
    if where == 'init_cfg':
        model = build(init_cfg=pretrained)
        model.init_weights()
    else:
        head = dict(type='FCNHead', in_channels=2048, channels=4, num_classes=3, num_convs=1)
        model = MODELS.build(
            ConfigDict(
                type='EncoderDecoder',
                pretrained=str(tmp_path / 'wide.pth'),
                decode_head=head,
                backbone=dict(type='WideResNet'),
            )
        )
        model.init_weights()
        model = model.eval().backbone
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        x = reference.maxpool(reference.relu(reference.bn1(reference.conv1(images))))
        for i, output in enumerate(model(images), start=1):
            x = getattr(reference, f'layer{i}')(x)
            torch.testing.assert_close(output, x, rtol=1e-4, atol=1e-4)


def test_strides_and_dilations_are_those_of_a_resnet():
    settings = dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), multi_grid=(1, 2, 4), deep_stem=True)
    with torch.device('meta'):
        wide = build(depth=50, **settings)
        plain = MODELS.build(dict(type='ResNet', depth=50, **settings))
        images = torch.zeros(1, 3, 64, 64)
        shapes = [[x.shape for x in network(images)] for network in (wide, plain)]
    assert shapes[0] == shapes[1] and shapes[0][-1] == (1, 2048, 4, 4)
    dilations = [[block.conv2.dilation for block in network.layer4] for network in (wide, plain)]
    assert dilations[0] == dilations[1] and dilations[0][-1] == (4, 4)
    assert [block.conv2.out_channels for block in (wide.layer1[0], wide.layer4[0])] == [128, 1024]


def test_it_learns():
    model = WideResNet(base_channels=8, stem_channels=4)
    model.init_weights()
    before = copy.deepcopy(model.state_dict())
    sum(x.square().mean() for x in model(torch.randn(2, 3, 32, 32))).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not torch.equal(before['bn1.running_mean'], model.state_dict()['bn1.running_mean'])


def test_a_depth_that_does_not_exist_is_refused():
    with pytest.raises(KeyError, match='invalid depth 18'):
        WideResNet(depth=18)
