import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_kd.losses.ops import (
    attention,
    average_pool,
    class_masks,
    differentiable_zero,
    gram_distance,
    inverse_norm,
    root,
    sample_labels,
    softened_divergence,
    squared_lengths,
    unit,
)


def test_labels_are_sampled_at_the_floor():
    labels = torch.arange(7 * 10).reshape(1, 7, 10)
    sampled = sample_labels(labels, (3, 4))
    assert sampled.tolist() == [[[10 * (i * 7 // 3) + j * 10 // 4 for j in range(4)] for i in range(3)]]
    assert sampled.dtype == labels.dtype


def test_void_labels_stay_void():
    assert (sample_labels(torch.full((2, 9, 9), 255, dtype=torch.uint8), (2, 3)) == 255).all()


@pytest.mark.parametrize('value', [1.0, float('inf'), float('nan')])
def test_zero_is_finite_and_carries_a_zero_gradient(value):
    x = torch.full((2, 3), value, requires_grad=True)
    zero = differentiable_zero(x)
    zero.backward()
    assert zero.item() == 0 and (x.grad == 0).all()


def test_unit_vectors():
    x = torch.tensor([[3.0, 0.0, 1e-9], [4.0, 0.0, 0.0]]).T.requires_grad_()
    y = unit(x)
    torch.testing.assert_close(y, torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, 0.0]]))
    y.sum().backward()
    # The part of (1, 1) across (3, 4), over its length of 5; nothing for vectors that count as zero.
    torch.testing.assert_close(x.grad, torch.tensor([[0.032, -0.024], [0.0, 0.0], [0.0, 0.0]]))


def test_all_classes_have_masks_and_void_has_none():
    masks = class_masks(torch.tensor([[[2, 255], [0, 2]], [[255, 0], [0, 0]]]), 3, torch.float64)
    assert masks.tolist() == [[[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]], [[0] * 3, [1, 0, 0], [1, 0, 0], [1, 0, 0]]]
    assert masks.dtype == torch.float64
    bytes_of_void = torch.full((2, 3, 3), 255, dtype=torch.uint8)
    assert torch.equal(class_masks(bytes_of_void, 255, torch.float32), torch.zeros(2, 9, 255))


def test_the_root_of_nothing_has_no_slope():
    x = torch.tensor([4.0, 1e-15, 0.0], requires_grad=True)
    root(x).sum().backward()
    assert root(x).tolist() == [2, 0, 0] and x.grad.tolist() == [0.25, 0, 0]


@pytest.mark.parametrize('shape, dim', [((2, 70, 3, 4), 1), ((5, 6), 1), ((2, 3, 7), 2), ((4, 3), 0)])
def test_lengths_and_directions_of_any_vectors(shape, dim):
    """Many channels are summed in parts."""
    x = torch.randn(shape, dtype=torch.float64)
    norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    torch.testing.assert_close(squared_lengths(x, dim), norm**2)
    torch.testing.assert_close(inverse_norm(x, dim), 1 / norm)
    torch.testing.assert_close(unit(x, dim), x / norm)
    for function in (squared_lengths, inverse_norm, unit):
        assert torch.autograd.gradcheck(lambda x: function(x, dim), x.requires_grad_(), fast_mode=True)


def test_attention_is_the_energy_of_pixels_as_a_vector_of_length_one():
    x = torch.tensor([3.0, 1.0, 0.0, 0.0, 0.0, 2.0]).reshape(1, 2, 1, 3)  # energies 9 + 0, 1 + 0 and 0 + 4, over 2
    torch.testing.assert_close(attention(x), torch.tensor([[9.0, 1.0, 4.0]]) / 98**0.5)
    assert attention(torch.zeros(1, 2, 1, 3)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize('temperature', [1.0, 0.3, 4.0])
@pytest.mark.parametrize('dim', [1, 2])
def test_the_divergence_is_that_of_the_softmax(temperature, dim):
    s, t = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    value = softened_divergence(s.requires_grad_(), t, temperature, dim)
    logs = [(x / temperature).log_softmax(dim) for x in (s, t)]
    expected = F.kl_div(*logs, reduction='sum', log_target=True)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*(torch.autograd.grad(3 * x, s)[0] for x in (value, expected)))


def test_equal_or_huge_logits_diverge_by_nothing_or_a_finite_number():
    huge = torch.tensor([[torch.finfo(torch.float32).min, 5.0, -1e4], [torch.finfo(torch.float32).min] * 3])
    assert softened_divergence(huge, huge, 1.0, 1) == 0
    other = huge.flip(1).requires_grad_()
    softened_divergence(other, torch.zeros(2, 3), 1.0, 1).backward()
    assert other.grad.isfinite().all()


@pytest.mark.parametrize('pixels', [3, 5, 6, 40])
def test_the_distance_of_gram_matrices_needs_no_matrix_of_all_pairs(pixels):
    x, y = torch.randn(2, 2, pixels, dtype=torch.double), torch.randn(2, 3, pixels, dtype=torch.double)
    expected = [np.square(a.T @ a - b.T @ b).sum() for a, b in zip(x.numpy(), y.numpy())]
    assert gram_distance(x, y).tolist() == pytest.approx(expected)
    assert gram_distance(x, -x).tolist() == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize('kernel', [1, 2, 4, 16])
@pytest.mark.parametrize('size', [(8, 12), (7, 9), (1, 5)])
def test_means_of_cells_at_the_border_count_the_pixels_in_the_map(kernel, size):
    x = torch.randn(2, 3, *size, dtype=torch.double, requires_grad=True)
    pooled, expected = average_pool(x, kernel), F.avg_pool2d(x, kernel, ceil_mode=True)
    torch.testing.assert_close(pooled, expected)
    slopes = [torch.autograd.grad(each.square().sum(), x)[0] for each in (pooled, expected)]
    torch.testing.assert_close(*slopes)
