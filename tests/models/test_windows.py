import pytest
import torch

from mmseg_kd.models.windows import Windows


@pytest.mark.parametrize(
    'size,scaled,starts',
    [
        ((8, 8), (8, 8), [0]),
        ((16, 16), (8, 8), [0]),
        ((8, 12), (8, 12), [0, 4]),
        ((8, 16), (8, 16), [0, 8]),
        ((16, 40), (8, 20), [0, 6, 12]),
        ((27, 9), (24, 8), [0, 8, 16]),
        ((4, 5), (8, 10), [0, 2]),
    ],
)
def test_windows_are_spread_evenly_over_the_longer_side(size, scaled, starts):
    windows = Windows(size, side=8)
    assert windows.scaled == scaled and windows.starts == starts


@pytest.mark.parametrize('size', [(8, 8), (8, 20), (20, 8)])
def test_windows_joined_are_the_images_again(size):
    images = torch.rand(3, 2, *size)
    windows = Windows(size, side=8)
    parts = windows.cut(images)
    assert parts.shape == (3 * len(windows.starts), 2, 8, 8)
    torch.testing.assert_close(windows.join(parts), images)


def test_the_size_may_be_tensors_as_while_a_graph_is_traced():
    assert Windows(torch.tensor([8, 12]), side=8).scaled == (8, 12)


def test_the_windows_of_an_image_follow_each_other():
    images = torch.stack([torch.zeros(1, 8, 12), torch.ones(1, 8, 12)])
    assert Windows((8, 12), side=8).cut(images).flatten(1).mean(1).tolist() == [0, 0, 1, 1]


def test_overlaps_are_averaged_at_the_resolution_of_the_maps():
    windows = Windows((8, 12), side=8)  # starts 0 and 4: columns 0 and 2 of maps of stride 2
    maps = torch.stack([torch.full((1, 4, 4), 1.0), torch.full((1, 4, 4), 3.0)])
    assert windows.join(maps)[0, 0, 0].tolist() == [1, 1, 2, 2, 3, 3]


def test_larger_images_are_reduced_without_aliasing():
    stripes = torch.tensor([0.0, 1.0]).repeat(32).expand(1, 1, 64, 64)
    reduced = Windows((64, 64), side=8).cut(stripes)
    torch.testing.assert_close(reduced, torch.full_like(reduced, 0.5), atol=0.05, rtol=0)
