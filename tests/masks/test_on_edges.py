import pytest
import torch
from reference import labels, maps

from mmseg_kd.losses import PixelWiseKDLoss
from mmseg_kd.masks import OnBodies, OnEdges

PI = dict(type='PixelWiseKDLoss')


def window_holds_more_than_one_value(y, kernel):
    r, (n, h, w) = kernel // 2, y.shape
    return torch.tensor(
        [
            [
                [
                    len(set(y[k, max(0, i - r) : i + r + 1, max(0, j - r) : j + r + 1].flatten().tolist())) > 1
                    for j in range(w)
                ]
                for i in range(h)
            ]
            for k in range(n)
        ]
    )


@pytest.mark.parametrize('kernel', [1, 3, 5])
def test_edges_and_bodies_share_the_pixels_that_are_not_void(kernel):
    y = labels(2, 4, 4, classes=3, void=0.1).repeat_interleave(4, 1).repeat_interleave(4, 2)[:, 1:, 2:]
    student, teacher = maps(2, 3, *y.shape[1:])
    mixed = window_holds_more_than_one_value(y, kernel)
    edges, bodies = (cls(PI, kernel=kernel).counted(student, teacher, y) for cls in (OnEdges, OnBodies))
    assert torch.equal(edges, mixed & (y != 255)) and torch.equal(bodies, ~mixed & (y != 255))


def test_edges_are_found_at_the_resolution_of_the_labels():
    y = torch.zeros(1, 32, 32, dtype=torch.long)
    y[:, :, 17:] = 1
    student, teacher = maps(1, 2, 4, 4)
    loss = OnEdges(PI, kernel=3)
    assert loss.counted(student, teacher, y).tolist() == [[[False, False, True, False]] * 4]
    expected = PixelWiseKDLoss()(student[..., 2:3], teacher[..., 2:3])
    torch.testing.assert_close(loss(student, teacher, y), expected)


def test_a_straight_edge_is_kernel_minus_one_pixels_wide():
    y = torch.zeros(1, 20, 20, dtype=torch.long)
    y[:, :, 10:] = 1
    assert OnEdges(PI, kernel=7).counted(*maps(1, 2, 20, 20), y).sum().item() == 6 * 20


def test_kernel_must_be_odd():
    for cls in (OnEdges, OnBodies):
        with pytest.raises(ValueError, match=f'{cls.__name__}: kernel must be odd and >= 1, but is 4'):
            cls(PI, kernel=4)
