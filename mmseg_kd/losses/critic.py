from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm


class HolisticCritic(nn.Module):
    """Score maps of class probabilities, with or without the image: the discriminator of :class:`HolisticKDLoss`.

    Four convolutions 4 x 4 of stride 2 under spectral normalization (64, 128, 256, 512 channels, LeakyReLU 0.1) with
    self-attention after the third and the fourth, then one convolution 4 x 4 to the score. There is no batch
    normalization: it would mix the samples of the gradient penalty. The power iteration of the spectral normalization
    advances in training mode only.

    Args:
        in_channels: The number of classes, plus 3 if the discriminator sees the image.

    Shape:
        (N, in_channels, H, W) to (N, 1, h, w), h = H // 16 - 3. Sides shorter than 64, for which nothing would be left,
        are resized to 64 (bilinear).

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import HolisticCritic
        >>> HolisticCritic(in_channels=2)(torch.zeros(1, 2, 64, 80)).shape
        torch.Size([1, 1, 1, 2])

    Paper: Liu et al., "Structured Knowledge Distillation" (arXiv 1903.04197), after SAGAN (arXiv 1805.08318).
    """

    min_side = 64

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.layers = nn.Sequential(
            _downsample(in_channels, 64),
            _downsample(64, 128),
            _downsample(128, 256),
            SelfAttention(256),
            _downsample(256, 512),
            SelfAttention(512),
            nn.Conv2d(512, 1, 4),
        )

    def forward(self, x: Tensor) -> Tensor:
        size = [max(side, self.min_side) for side in x.shape[2:]]
        if size != list(x.shape[2:]):
            x = F.interpolate(x, size=size, mode='bilinear', align_corners=False)
        return self.layers(x)


class BatchNormCritic(HolisticCritic):
    """:class:`HolisticCritic` behind a batch normalization: the discriminator of :class:`RawHolisticKDLoss`.

    In training mode each channel is centered and scaled by the mean and std of the given batch, so that the scores do
    not depend on the scale of the logits.

    Args:
        in_channels: The number of classes.

    Shape:
        (N, in_channels, H, W) to (N, 1, h, w), as :class:`HolisticCritic`.

    Paper: the published code of Liu et al., "Structured Knowledge Distillation" (arXiv 1903.04197).
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.norm = nn.BatchNorm2d(in_channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.norm(x))


class SelfAttention(nn.Module):
    r"""Add to every place what the places similar to it hold: :math:`x + \gamma\, v\, \mathrm{softmax}(q^T k)^T`.

    The factor :math:`\gamma` is learned and starts at 0. Queries and keys have an eighth of the channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        # Written out: fused attention has no second derivative, which the gradient penalty needs.
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        attention = torch.softmax(query.transpose(1, 2) @ key, dim=2)
        return x + self.gamma * (value @ attention.transpose(1, 2)).reshape(x.shape)


def _downsample(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(spectral_norm(nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1)), nn.LeakyReLU(0.1))


def slope_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """The gradient penalty of WGAN-GP: the squared distance of a discriminator's slope from 1 between real and fake (N,
    C, H, W).

    The slope is taken at one random place per sample, on the line from ``fake`` to ``real``. It is that of the mean of
    the scores of the sample, and can be differentiated with respect to the discriminator.
    """
    share = torch.rand(len(real), 1, 1, 1, dtype=real.dtype, device=real.device)
    between = torch.lerp(fake, real, share).requires_grad_()
    scores = discriminator(between).flatten(1).mean(1)
    (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def frozen(module: nn.Module, x: Tensor) -> Tensor:
    """The output of a module whose parameters are taken for constants: they get no gradient from it."""
    return functional_call(module, {name: parameter.detach() for name, parameter in module.named_parameters()}, (x,))
