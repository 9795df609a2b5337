"""A fixed decomposition of maps into bands by scale and direction, in the manner of the contourlet transform."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def pyramid_step(x: Tensor) -> tuple[Tensor, Tensor]:
    """Split maps (N, C, H, W) into the coarse half (N, C, ceil(H / 2), ceil(W / 2)) and what it lacks (N, C, H, W).

    Coarse is every second pixel of the map under the binomial filter (1, 4, 6, 4, 1) / 16 along both axes, with the
    border repeated; the rest is the map minus the coarse one resized back (bilinear). A step of the Laplacian pyramid.
    """
    # Computed, since a list would have to be copied to the GPU, which waits.
    distance = torch.arange(-2, 3, dtype=x.dtype, device=x.device).abs()
    taps = (12 - 3 * distance - distance.square()) / 32
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 5, 5)
    coarse = F.conv2d(F.pad(x, (2, 2, 2, 2), mode='replicate'), kernel, stride=2, groups=x.shape[1])
    return coarse, x - F.interpolate(coarse, size=x.shape[2:], mode='bilinear', align_corners=False)


def wedges(height: int, width: int, directions: int, like: Tensor) -> Tensor:
    r"""Weights of ``directions`` bands for the half spectrum (:func:`torch.fft.rfft2`) of a map.

    Band k has the raised cosine :math:`\cos^2` of the angle to its middle, :math:`\pi k / K` (modulo :math:`\pi`),
    which is 0 at the middles of its neighbors; the bands sum to one at each frequency. The constant is shared equally,
    as is all if there is one band.

    Returns:
        Tensor: (directions, height, width // 2 + 1), of the dtype and device of ``like``.
    """
    rows, columns = (torch.fft.fftfreq(side, dtype=like.dtype, device=like.device) for side in (height, width))
    angles = torch.atan2(rows[:, None], columns)
    middles = torch.arange(directions, dtype=like.dtype, device=like.device)[:, None, None] * math.pi / directions
    offset = (angles - middles + math.pi / 2).remainder(math.pi) - math.pi / 2
    weights = torch.cos((offset.abs() * directions / 2).clamp_max(math.pi / 2)).square()
    weights[:, 0, 0].fill_(1)
    weights = weights / weights.sum(0)
    # The highest frequency of an even side runs in two directions at once; only their mean gives real bands.
    return ((weights + weights.flip(1, 2).roll((1, 1), (1, 2))) / 2)[..., : width // 2 + 1]


def band_energy(x: Tensor, directions: int) -> Tensor:
    """Sum over bands of the mean square of the bands of (N, C, H, W) maps, a scalar.

    By Parseval's theorem from the spectrum: the bands themselves are not formed.
    """
    height, width = x.shape[2:]
    spectrum = torch.fft.rfft2(x, norm='forward')
    weights = wedges(height, width, directions, x).square().sum(0)
    # The half spectrum stands for both halves, but for the columns that are their own mirror.
    twice = torch.full_like(weights[:1], 2)
    twice[:, 0].fill_(1)
    if width % 2 == 0:
        twice[:, -1].fill_(1)
    return (torch.view_as_real(spectrum).square().sum(-1) * weights * twice).sum() / (x.shape[0] * x.shape[1])
