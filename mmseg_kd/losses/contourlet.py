"""A fixed decomposition of maps into bands by scale and direction, similar to the contourlet transform."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def pyramid_step(x: Tensor) -> tuple[Tensor, Tensor]:
    """Split maps (N, C, H, W) into a coarse half (N, C, ceil(H / 2), ceil(W / 2)) and the remaining detail (N, C, H,
    W).

    The coarse half is every second pixel of the map under the binomial filter (1, 4, 6, 4, 1) / 16 along both axes,
    with the border repeated. The detail is the map minus the coarse half resized back (bilinear). This is one step of
    the Laplacian pyramid.
    """
    # Computed, because copying a list to the GPU would make the CPU wait.
    distance = torch.arange(-2, 3, dtype=x.dtype, device=x.device).abs()
    taps = (12 - 3 * distance - distance.square()) / 32
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 5, 5)
    coarse = F.conv2d(_repeat_border(x), kernel, stride=2, groups=x.shape[1])
    return coarse, x - F.interpolate(coarse, size=x.shape[2:], mode='bilinear', align_corners=False)


def _repeat_border(x: Tensor) -> Tensor:
    """Maps with two more pixels at each side; compiled, the gradient of the pad mode ``replicate`` may fail."""
    for dim in (2, 3):
        first, last = x.narrow(dim, 0, 1), x.narrow(dim, -1, 1)
        x = torch.cat([first, first, x, last, last], dim)
    return x


def wedges(height: int, width: int, directions: int, like: Tensor) -> Tensor:
    r"""Weights of ``directions`` bands for the half spectrum (:func:`torch.fft.rfft2`) of a map.

    Band k has the raised cosine :math:`\cos^2` of the angle to its center, :math:`\pi k / K` (modulo :math:`\pi`),
    which is 0 at the centers of its neighbors. The bands sum to one at each frequency. The constant is shared equally
    between them; a single band has the weight 1 everywhere.

    Returns:
        Tensor: The weights (directions, height, width // 2 + 1), in the dtype and on the device of ``like``.
    """
    rows, columns = (torch.fft.fftfreq(side, dtype=like.dtype, device=like.device) for side in (height, width))
    angles = torch.atan2(rows[:, None], columns)
    middles = torch.arange(directions, dtype=like.dtype, device=like.device)[:, None, None] * math.pi / directions
    offset = (angles - middles + math.pi / 2).remainder(math.pi) - math.pi / 2
    weights = torch.cos((offset.abs() * directions / 2).clamp_max(math.pi / 2)).square()
    weights[:, 0, 0].fill_(1)
    weights = weights / weights.sum(0)
    # The highest frequency of an even side has two directions at once; only their mean gives real bands.
    return ((weights + weights.flip(1, 2).roll((1, 1), (1, 2))) / 2)[..., : width // 2 + 1]


def band_energy(x: Tensor, directions: int) -> Tensor:
    """Sum over the bands of the mean square of a band of the maps (N, C, H, W), a scalar.

    By Parseval's theorem it is computed from the spectrum; the bands themselves are not formed.
    """
    height, width = x.shape[2:]
    spectrum = torch.fft.rfft2(x, norm='forward')
    weights = wedges(height, width, directions, x).square().sum(0)
    # Columns of the half spectrum stand for both halves, except those that are their own mirror image.
    twice = torch.full_like(weights[:1], 2)
    twice[:, 0].fill_(1)
    if width % 2 == 0:
        twice[:, -1].fill_(1)
    return (torch.view_as_real(spectrum).square().sum(-1) * weights * twice).sum() / (x.shape[0] * x.shape[1])
