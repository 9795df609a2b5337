"""A compact encoder-decoder: a residual encoder, and a decoder of transposed convolutions that adds its maps."""

from collections.abc import Sequence

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

BN = dict(type='BN', requires_grad=True)
CROSS_ENTROPY = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)


@MODELS.register_module()
class CompactEncoder(BaseModule):
    """Encoder of the compact network: a stem and four stages of residual blocks; each stage but the first halves the
    sides.

    The stem is a 3x3 convolution of stride 2; a 3x3 max-pool of stride 2 leads from it to the first stage. A block
    consists of two 3x3 convolutions, with a 1x1 convolution on the shortcut where the shape changes. With
    :class:`CompactHead` for 21 classes the defaults give 3.66 million parameters.

    Args:
        channels: The numbers of channels of the stem and of the four stages.
        blocks: The number of blocks of each stage.
        norm_cfg: The config of the normalization layers.
        init_cfg: The config of the initialization, as in any MMEngine module; torch's own by default.
        in_channels: The number of channels of the images.

    Shape:
        Images (N, in_channels, H, W), of any H and W, to five maps, stem first, of strides 2, 4, 8, 16 and 32; halves
        are rounded up.

    Raises:
        ValueError: if ``channels`` does not have five numbers or ``blocks`` four.

    Example:
        >>> import torch
        >>> from mmseg_kd.models import CompactEncoder
        >>> maps = CompactEncoder()(torch.zeros(1, 3, 64, 64))
        >>> [tuple(x.shape[1:]) for x in maps]
        [(32, 32, 32), (32, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2)]

    Source: a compact network for VOC 2012, 3.7 million parameters, distilled from FCN-ResNet50. The number of blocks of
    its stages is not known; the defaults give its size.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 32, 64, 128, 256),
        blocks: Sequence[int] = (2, 4, 2, 2),
        norm_cfg: dict = BN,
        init_cfg: dict | None = None,
        in_channels: int = 3,
    ) -> None:
        super().__init__(init_cfg)
        if len(channels) != 5 or len(blocks) != 4:
            raise ValueError(
                'CompactEncoder: channels must be five numbers (stem and stages) and blocks four, but '
                f'they are {list(channels)} and {list(blocks)}'
            )
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels[0], 3, stride=2, padding=1, bias=False),
            _norm(norm_cfg, channels[0]),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        for i, number in enumerate(blocks):
            first = _ResidualBlock(channels[i], channels[i + 1], 1 if i == 0 else 2, norm_cfg)
            rest = [_ResidualBlock(channels[i + 1], channels[i + 1], 1, norm_cfg) for _ in range(number - 1)]
            self.stages.append(nn.Sequential(first, *rest))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The five maps of images (N, in_channels, H, W)."""
        x = self.stem(x)
        maps = [x]
        x = self.pool(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)


@MODELS.register_module()
class CompactHead(BaseDecodeHead):
    r"""Decoder of the compact network: one 4x4 transposed convolution of stride 2 per level.

    .. math:: x_l = \mathrm{relu}(\mathrm{up}_l(x_{l+1}) + P_l e_l), \qquad x_L = e_L

    with e the encoder's levels and P a 1x1 convolution, both sides with batch normalization. Where a level has odd
    sides, the last row or column of the upper map is cut off, so that the grids stay aligned. A 1x1 convolution
    classifies the finest map; the segmentor resizes its output to the size of the image.

    Args:
        in_channels: The numbers of channels of the levels, the finest first; the decoder is as wide as the level that
            it adds.
        channels: The number of channels of the finest map, which the classifier reads.
        num_classes: The number of classes.
        in_index: The indices of the levels among the maps of the backbone.
        dropout_ratio: The share of channels that are dropped before the classifier in training.
        norm_cfg: The config of the normalization layers.
        align_corners: The mode in which the segmentor resizes the logits.
        ignore_index: The label of ignored pixels.
        loss_decode: The config of the loss, or a list of such configs.
        sampler: The config of a pixel sampler.
        init_cfg: The config of the initialization, as in any MMEngine module; torch's own by default.

    Shape:
        Maps (N, C_l, H_l, W_l), each with half the sides of the one before, rounded up, to logits (N, classes, H_0,
        W_0).

    Example:
        >>> import torch
        >>> from mmseg_kd.models import CompactEncoder, CompactHead
        >>> head = CompactHead(in_channels=(32, 32, 64, 128, 256), channels=32, num_classes=21)
        >>> head(CompactEncoder()(torch.zeros(1, 3, 64, 64))).shape
        torch.Size([1, 21, 32, 32])
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        num_classes: int,
        in_index: Sequence[int] = (0, 1, 2, 3, 4),
        dropout_ratio: float = 0.0,
        norm_cfg: dict = BN,
        align_corners: bool = False,
        ignore_index: int = 255,
        loss_decode: dict = CROSS_ENTROPY,
        sampler: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            in_index=in_index,
            input_transform='multiple_select',
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg,
            align_corners=align_corners,
            ignore_index=ignore_index,
            loss_decode=loss_decode,
            sampler=sampler,
            init_cfg=init_cfg,
        )
        widths = [channels, *in_channels[1:]]
        self.steps = nn.ModuleList(
            _UpStep(widths[i + 1], in_channels[i], widths[i], norm_cfg) for i in reversed(range(len(in_channels) - 1))
        )

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Logits on the grid of the finest level."""
        levels: list[Tensor] = self._transform_inputs(inputs)
        x = levels[-1]
        for step, level in zip(self.steps, levels[-2::-1]):
            x = step(x, level)
        return self.cls_seg(x)


class _ResidualBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int, norm_cfg: dict) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
            _norm(norm_cfg, out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            _norm(norm_cfg, out_channels),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), _norm(norm_cfg, out_channels)
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.convs(x) + self.shortcut(x))


class _UpStep(nn.Module):
    def __init__(self, in_channels: int, level_channels: int, out_channels: int, norm_cfg: dict) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False),
            _norm(norm_cfg, out_channels),
        )
        self.project = nn.Sequential(
            nn.Conv2d(level_channels, out_channels, 1, bias=False), _norm(norm_cfg, out_channels)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        x = self.up(x)[..., : level.shape[2], : level.shape[3]]
        return self.relu(x + self.project(level))


def _norm(norm_cfg: dict, channels: int) -> nn.Module:
    return build_norm_layer(norm_cfg, channels)[1]
