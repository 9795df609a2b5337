import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import maps

from mmseg_kd.losses.contourlet import band_energy, pyramid_step, wedges

SIZES = [(8, 12), (7, 9), (5, 4), (1, 6), (6, 1), (1, 1), (2, 3)]


def bands(x, directions):
    weights = wedges(*x.shape[2:], directions, x)
    return [torch.fft.irfft2(torch.fft.rfft2(x) * weight, s=x.shape[2:]) for weight in weights]


@pytest.mark.parametrize('size', SIZES)
def test_coarse_is_filtered_by_hand(size):
    x, _ = maps(2, 3, *size)
    taps = np.array([1, 4, 6, 4, 1]) / 16
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode='edge')
    expected = np.array(
        [
            [(padded[:, :, i : i + 5, j : j + 5] * np.outer(taps, taps)).sum((2, 3)) for j in range(0, size[1], 2)]
            for i in range(0, size[0], 2)
        ]
    ).transpose(2, 3, 0, 1)
    coarse, rest = pyramid_step(x)
    np.testing.assert_allclose(coarse.numpy(), expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(rest + F.interpolate(coarse, size=size, mode='bilinear', align_corners=False), x)


def test_a_constant_has_no_texture():
    coarse, rest = pyramid_step(torch.full((1, 2, 7, 9), 3.0))
    torch.testing.assert_close(coarse, torch.full((1, 2, 4, 5), 3.0))
    assert rest.abs().max() < 1e-6


@pytest.mark.parametrize('directions', [1, 3, 8])
@pytest.mark.parametrize('size', SIZES)
def test_bands_sum_to_the_map_and_their_energy_needs_none_of_them(size, directions):
    x, _ = maps(2, 3, *size)
    found = bands(x, directions)
    torch.testing.assert_close(sum(found), x)
    torch.testing.assert_close(band_energy(x, directions), sum(band.square().mean() for band in found))


def test_two_bands_by_hand():
    """The angle of (row, column) = (1, 1) lies between the bands of 0 and 90 degrees; (0, 1) in the first."""
    weights = wedges(4, 4, 2, torch.zeros(()))
    assert weights[:, 1, 1].tolist() == pytest.approx([0.5, 0.5])
    assert weights[:, 0, 1].tolist() == pytest.approx([1, 0], abs=1e-6)
    assert weights[:, 1, 0].tolist() == pytest.approx([0, 1], abs=1e-6)
    assert weights[:, 0, 0].tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize('k', range(8))
def test_a_grating_lies_in_the_band_of_its_direction(k):
    angle, grid = math.pi * k / 8, torch.arange(64, dtype=torch.float64)
    x = torch.sin(2 * math.pi * (round(16 * math.sin(angle)) * grid[:, None] + round(16 * math.cos(angle)) * grid) / 64)
    energies = torch.stack([band.square().sum() for band in bands(x[None, None], 8)])
    assert energies.argmax() == k and energies[k] > 0.9 * energies.sum()


def test_mixing_channels_commutes():
    x, _ = maps(2, 3, 7, 9)
    mix = torch.randn(5, 3, dtype=torch.float64)
    before, after = (pyramid_step(torch.einsum('dc,nchw->ndhw', mix, x)), pyramid_step(x))
    for a, b in zip(before, after):
        torch.testing.assert_close(a, torch.einsum('dc,nchw->ndhw', mix, b))
