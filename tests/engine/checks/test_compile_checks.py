import pytest
from mmseg.models import SegDataPreProcessor
from mmseg.models.backbones import ResNetV1c, ResNetV1d
from torch import nn

from mmseg_kd.engine.checks import check_compiled_pools


class Network(nn.Module):
    def __init__(self, backbone, **size):
        super().__init__()
        self.data_preprocessor = SegDataPreProcessor(**size)
        self.backbone = backbone


@pytest.mark.parametrize('size', [dict(size=(65, 64)), dict(size=(64, 80)), dict(size_divisor=8)])
def test_pools_that_windows_may_cut_are_named(size):
    (warning,) = check_compiled_pools(Network(ResNetV1d(depth=18, base_channels=4), **size)).warnings
    # The first convolution of each of three stages has one.
    assert warning.startswith('compile=True: 3 average pools with ceil_mode (backbone.layer2.0.downsample.0, ...) have')


@pytest.mark.parametrize(
    'backbone, size',
    [
        (ResNetV1d(depth=18, base_channels=4), dict(size=(64, 96))),
        (ResNetV1d(depth=18, base_channels=4), dict(size_divisor=32)),
        (ResNetV1c(depth=18, base_channels=4), dict(size=(65, 65))),
        (nn.AvgPool2d(2), dict(size=(65, 65))),
        (nn.AvgPool2d((1, 1), ceil_mode=True), dict(size=(65, 65))),
    ],
)
def test_other_networks_and_sizes_are_right(backbone, size):
    assert not check_compiled_pools(Network(backbone, **size)).warnings
