import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import SHAPES, assert_gradient, assert_value, maps

from mmseg_kd.losses import SSTKDStructuralTextureLoss


def resized(x, height, width):
    """Bilinear, with pixel centers at halves, of (C, H, W)."""

    def weights(old, new):
        result = np.zeros((new, old))
        for i in range(new):
            at = min(max((i + 0.5) * old / new - 0.5, 0), old - 1)
            low = int(at)
            result[i, low] += 1 - (at - low)
            result[i, min(low + 1, old - 1)] += at - low
        return result

    return np.einsum('ih,jw,chw->cij', weights(x.shape[1], height), weights(x.shape[2], width), x)


def bands(x, levels, directions):
    """All bands of one map (C, H, W), by the full spectrum."""
    result, taps = [], np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    for _ in range(levels):
        padded = np.pad(x, ((0, 0), (2, 2), (2, 2)), mode='edge')
        coarse = np.array(
            [
                [(padded[:, i : i + 5, j : j + 5] * taps).sum((1, 2)) for j in range(0, x.shape[2], 2)]
                for i in range(0, x.shape[1], 2)
            ]
        ).transpose(2, 0, 1)
        spectrum = np.fft.fft2(x - resized(coarse, *x.shape[1:]))
        angles = np.arctan2(*np.meshgrid(*(np.fft.fftfreq(n) for n in x.shape[1:]), indexing='ij'))
        for k in range(directions):
            away = abs((angles - np.pi * k / directions + np.pi / 2) % np.pi - np.pi / 2)
            weight = np.where(away < np.pi / directions, np.cos(away * directions / 2) ** 2, 0)
            weight[0, 0] = 1 / directions
            weight = weight if directions > 1 else 1
            band = np.fft.ifft2(spectrum * weight)
            result.append(band.real)
        x = coarse
    return result


@pytest.mark.parametrize('levels, directions', [(2, 8), (1, 3), (3, 2), (1, 1)])
@pytest.mark.parametrize('shape', [*SHAPES, (2, 3, 8, 6), (2, 3, 9, 5)])
def test_equals_the_formula(shape, levels, directions):
    student, teacher = maps(*shape)
    squares = [
        [((a - b) ** 2).mean() for a, b in zip(bands(s, levels, directions), bands(t, levels, directions))]
        for s, t in zip(student.numpy(), teacher.numpy())
    ]
    assert_value(SSTKDStructuralTextureLoss(levels, directions), np.sum(squares) / shape[0], student, teacher)


@pytest.mark.parametrize('shape', [(2, 2, 5, 6), (1, 2, 3, 4)])
def test_gradient(shape):
    assert_gradient(SSTKDStructuralTextureLoss(directions=3), *maps(*shape))


def test_a_constant_per_channel_does_not_matter():
    student, teacher = maps(2, 4, 8, 10)
    shifted = student + torch.randn(2, 4, 1, 1, dtype=torch.float64)
    loss = SSTKDStructuralTextureLoss()
    torch.testing.assert_close(loss(shifted, teacher), loss(student, teacher))


def test_directions_weigh_a_frequency_between_one_half_and_one():
    student, teacher = maps(2, 4, 8, 10)
    one, many = (SSTKDStructuralTextureLoss(directions=k)(student, teacher) for k in (1, 8))
    assert one / 2 < many < one


def test_smooth_differences_count_less_than_textures():
    _, teacher = maps(1, 4, 16, 16)
    smooth = F.interpolate(torch.randn(1, 4, 2, 2, dtype=torch.float64), size=(16, 16), mode='bilinear')
    rough = torch.randn(1, 4, 16, 16, dtype=torch.float64)
    small, large = (SSTKDStructuralTextureLoss()(teacher + x / x.norm(), teacher) for x in (smooth, rough))
    assert 10 * small < large


@pytest.mark.parametrize('settings', [dict(levels=0), dict(directions=0)])
def test_settings_must_make_sense(settings):
    with pytest.raises(ValueError, match='levels and directions must be >= 1'):
        SSTKDStructuralTextureLoss(**settings)
