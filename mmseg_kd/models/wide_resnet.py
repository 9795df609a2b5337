from mmseg.models.backbones.resnet import Bottleneck, ResNet
from mmseg.registry import MODELS


class WideBottleneck(Bottleneck):
    """A bottleneck with twice as many inner channels as a ResNet's, for the same output."""

    expansion = 2


@MODELS.register_module()
class WideResNet(ResNet):
    """A ResNet with bottlenecks of twice the inner width: torchvision's ``wide_resnet50_2`` and ``wide_resnet101_2``.

    MMSegmentation's ``ResNeXt`` cannot build it: it ignores ``base_width`` where ``groups=1``. The names of the weights
    are torchvision's, so that ``init_cfg=dict(type='Pretrained', checkpoint='torchvision://wide_resnet50_2')`` loads
    them.

    Args:
        depth: The depth, 50 (66.83 M parameters) or 101 (124.84 M).
        base_channels: The inner channels of the first stage; stage i (from 0) has 2**i times as many, and twice that at
            its output.
        settings: Further arguments of MMSegmentation's ``ResNet``, such as ``strides``, ``dilations`` and ``norm_cfg``;
            ``zero_init_residual`` has no effect, as in torchvision.

    Shape:
        Images (N, 3, H, W) to a tuple of features with 256, 512, 1024 and 2048 channels, at strides 4, 8, 16 and 32
        unless ``strides`` changes them.

    Raises:
        KeyError: if there is no network of this depth.

    Example:
        >>> import torch
        >>> from mmseg_kd.models import WideResNet
        >>> with torch.device('meta'):  # shapes only
        ...     maps = WideResNet(base_channels=16)(torch.zeros(1, 3, 64, 64))
        >>> [tuple(x.shape[1:]) for x in maps]
        [(32, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2)]

    Paper: Zagoruyko and Komodakis, "Wide Residual Networks" (BMVC 2016, arXiv 1605.07146).
    """

    arch_settings = {50: (WideBottleneck, (3, 4, 6, 3)), 101: (WideBottleneck, (3, 4, 23, 3))}

    def __init__(self, depth: int = 50, base_channels: int = 128, **settings) -> None:
        super().__init__(depth, base_channels=base_channels, **settings)
