import numpy as np
import pytest
import torch
from reference import labels
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_kd.losses.edges import edge_shares


def edge(y, c, kernel):
    """Pixels of one label map (H, W) whose window holds class c and not only class c."""
    r, result = kernel // 2, np.zeros(y.shape)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            window = y[max(i - r, 0) : i + r + 1, max(j - r, 0) : j + r + 1]
            result[i, j] = (window == c).any() and not (window == c).all()
    return result


def mean_over_cells(x, h, w):
    """Cell i of n over N pixels is floor(i N / n) to ceil((i + 1) N / n)."""
    rows = [(i * x.shape[0] // h, -(-(i + 1) * x.shape[0] // h)) for i in range(h)]
    columns = [(j * x.shape[1] // w, -(-(j + 1) * x.shape[1] // w)) for j in range(w)]
    return np.array([[x[a:b, c:d].mean() for c, d in columns] for a, b in rows])


def expected(y, classes, size, kernel):
    return np.array([[mean_over_cells(edge(image, c, kernel), *size) for c in range(classes)] for image in y.numpy()])


def blocks(n, h, w, seed=0, **settings):
    """Labels in blocks of 5 x 4 pixels, so that something is left of the erosion."""
    y = labels(n, -(-h // 5), -(-w // 4), seed=seed, **settings)
    return y.repeat_interleave(5, 1).repeat_interleave(4, 2)[:, :h, :w]


@pytest.mark.parametrize('kernel', [1, 3, 7])
@pytest.mark.parametrize('shape, size', [((2, 16, 24), (4, 6)), ((1, 17, 23), (5, 4)), ((1, 3, 3), (3, 3))])
def test_equals_dilation_minus_erosion(shape, size, kernel):
    y = blocks(*shape)
    shares = edge_shares(y, 7, size, kernel)
    np.testing.assert_allclose(shares.numpy(), expected(y, 7, size, kernel), atol=1e-6)
    assert shares.dtype == torch.float32


@pytest.mark.parametrize('classes', [2, 62, 63, 64, 127, 150])
def test_any_number_of_classes_can_be_told_apart(classes):
    y = blocks(2, 14, 18, classes=classes)
    y[0, :2, :2] = classes - 1
    np.testing.assert_allclose(edge_shares(y, classes, (4, 5), 3), expected(y, classes, (4, 5), 3), atol=1e-6)


@pytest.mark.parametrize('size', [(1, 1), (16, 24), (11, 30)])
def test_cells_may_be_large_or_smaller_than_pixels(size):
    y = blocks(2, 16, 24)
    np.testing.assert_allclose(edge_shares(y, 5, size, 3), expected(y, 5, size, 3), atol=1e-6)


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that an operation returns."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_no_map_of_a_class_is_formed():
    """Not at the resolution of the labels: 150 maps of 128 x 128 would be 2.4 million numbers."""
    with Largest() as mode:
        edge_shares(blocks(1, 128, 128, classes=150), 150, (16, 16), 7)
    assert 16 * 16 * 150 <= mode.numbers < 4 * 128 * 128


def test_a_straight_edge_is_one_pixel_narrower_than_the_kernel():
    y = torch.zeros(1, 6, 30, dtype=torch.long)
    y[..., 15:] = 2
    shares = edge_shares(y, 4, (6, 30), 7)
    band = torch.zeros(6, 30)
    band[:, 12:18] = 1
    assert torch.equal(shares[0, 0], band) and torch.equal(shares[0, 2], band)
    assert shares[0, 1].sum() == shares[0, 3].sum() == 0


def test_the_border_of_the_image_is_no_edge():
    assert edge_shares(torch.full((2, 9, 9), 3), 5, (3, 3), 7).sum() == 0


def test_what_borders_on_void_is_edge_and_void_has_none():
    y = torch.zeros(1, 1, 8, dtype=torch.long)
    y[..., 4:] = 255
    assert edge_shares(y, 3, (1, 8), 3)[0, :, 0].tolist() == [[0, 0, 0, 1, 1, 0, 0, 0], [0] * 8, [0] * 8]
    assert edge_shares(torch.full_like(y, 255), 3, (1, 8), 3).sum() == 0


def test_classes_may_change_names_and_bytes_serve():
    y = blocks(2, 16, 24)
    order = torch.arange(256)
    order[:5] = torch.tensor([3, 0, 4, 2, 1])
    shares, renamed = edge_shares(y, 5, (4, 6), 3), edge_shares(order[y].byte(), 5, (4, 6), 3)
    assert torch.equal(renamed[:, order[:5]], shares) and shares.sum() > 0
