import numpy as np
import pytest
import torch
from reference import SHAPES, assert_gradient, assert_value, gradient, maps, rotated

from mmseg_kd.losses import SSTKDStatisticalTextureLoss


def intensity(x):
    x = x.reshape(len(x), -1).T
    mean = x.mean(0)
    return np.array([v @ mean / np.linalg.norm(v) / np.linalg.norm(mean) for v in x])


def quantized(intensities, levels):
    """Linear interpolation between the two nearest levels, pixel by pixel."""
    result = np.zeros((len(intensities), len(levels)))
    for p, value in enumerate(intensities):
        for k in range(len(levels)):
            one = np.zeros(len(levels))
            one[k] = 1
            result[p, k] = np.interp(value, levels, one)
    return result


def expected(student, teacher, k):
    total = []
    for s, t in zip(student.numpy(), teacher.numpy()):
        s, t = intensity(s), intensity(t)
        levels = [t.min() + (2 * n + 1) / (2 * k) * (t.max() - t.min()) for n in range(k)]
        s, t = quantized(s, levels), quantized(t, levels)
        np.testing.assert_allclose(t.sum(1), 1)
        total.append(abs(s.mean(0) - t.mean(0)).sum() + ((s - t) ** 2).sum() / len(s))
    return np.mean(total)


@pytest.mark.parametrize('levels', [2, 8, 128])
@pytest.mark.parametrize('shape', [shape for shape in SHAPES if shape[2:] != (1, 1)])
def test_equals_the_formula(shape, levels):
    student, teacher = maps(*shape, channels=7)
    value = expected(student, teacher, levels)
    loss = SSTKDStatisticalTextureLoss(levels)
    assert loss(student, teacher).item() == pytest.approx(value, rel=1e-9)
    assert loss(student.float(), teacher.float()).item() == pytest.approx(value, rel=1e-4 if levels == 128 else 1e-5)


def test_levels_of_similar_pixels_are_as_close_as_their_intensities():
    student, teacher = (1 + 0.3 * x for x in maps(2, 3, 4, 5))
    assert np.ptp(intensity(teacher[0].numpy())) < 0.5
    assert_value(SSTKDStatisticalTextureLoss(4), expected(student, teacher, 4), student, teacher)


def test_eight_levels_are_the_default():
    assert_value(SSTKDStatisticalTextureLoss(), expected(*maps(2, 5, 4, 6), 8), *maps(2, 5, 4, 6))


def test_two_levels_by_hand():
    """Teacher: cosines 1 (three times, to rounding) and less; student: all 1, hence all in the last level."""
    teacher = torch.tensor([[3.0, 3.0, 3.0, -1.0], [0.0, 0.0, 0.0, 0.0]]).reshape(1, 2, 1, 4)
    # The teacher's last pixel lies in the first level: the shares differ by 1/4 in both, the pixel by 1 in both.
    assert SSTKDStatisticalTextureLoss(2)(torch.ones(1, 1, 1, 4), teacher).item() == pytest.approx(2 / 4 + 2 / 4)


def test_gradient():
    assert_gradient(SSTKDStatisticalTextureLoss(3), *maps(2, 3, 3, 4))


def test_one_intensity_only_is_no_division_by_zero():
    _, teacher = maps(1, 4, 3, 5)
    flat = torch.ones(1, 4, 3, 5, dtype=torch.float64)
    assert gradient(SSTKDStatisticalTextureLoss(), flat, teacher).isfinite().all()
    assert gradient(SSTKDStatisticalTextureLoss(), teacher, flat).isfinite().all()
    assert (gradient(SSTKDStatisticalTextureLoss(), 0 * teacher, teacher) == 0).all()
    assert SSTKDStatisticalTextureLoss()(*maps(2, 4, 1, 1)).item() < 1e-6


def test_scale_and_rotation_do_not_matter():
    student, teacher = maps(2, 4, 3, 5)
    scale = torch.tensor([0.2, 30.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    value = SSTKDStatisticalTextureLoss()(student, teacher)
    torch.testing.assert_close(SSTKDStatisticalTextureLoss()(rotated(scale * student, 1), rotated(teacher, 2)), value)
    assert value <= 4


def test_two_levels_at_least():
    with pytest.raises(ValueError, match='levels must be >= 2'):
        SSTKDStatisticalTextureLoss(1)


def test_an_even_map_has_no_levels_but_rounding_errors():
    loss = SSTKDStatisticalTextureLoss()
    for pixel, other in torch.randn(50, 2, 1, 6, 1, 1):
        assert loss(pixel, other).item() == 0
        assert loss(pixel.expand(1, 6, 3, 3), other.expand(1, 6, 3, 3)).item() < 1e-2
