import pytest
import torch
from mmseg.registry import MODELS


@pytest.mark.parametrize(
    'kind, channels, parameters',
    [('BiasedConvAdapter', 5, 20), ('ConvAdapter', 5, 15), ('ConvBNAdapter', 5, 25), ('NoAdapter', 3, 0)],
)
def test_channels_and_parameters(kind, channels, parameters):
    adapter = MODELS.build(dict(type=kind, in_channels=3, out_channels=5))
    assert adapter(torch.randn(2, 3, 4, 6)).shape == (2, channels, 4, 6)
    assert sum(p.numel() for p in adapter.parameters()) == parameters


def test_the_default_is_linear_without_bias():
    adapter = MODELS.build(dict(type='ConvAdapter', in_channels=3, out_channels=5))
    assert not adapter(torch.zeros(1, 3, 2, 2)).any()


def test_with_bias_each_channel_is_shifted():
    adapter = MODELS.build(dict(type='BiasedConvAdapter', in_channels=3, out_channels=5))
    assert torch.equal(adapter(torch.zeros(1, 3, 2, 2)), adapter.bias[None, :, None, None].expand(1, 5, 2, 2))
    assert adapter.bias.abs().sum() > 0
