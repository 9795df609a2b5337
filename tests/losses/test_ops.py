import pytest
import torch

from mmseg_kd.losses.ops import class_masks, differentiable_zero, root, sample_labels, unit


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


def test_unit_vectors_over_several_dimensions():
    x = torch.randn(2, 3, 4, 5)
    rows = unit(x.transpose(0, 1).reshape(3, -1))
    torch.testing.assert_close(unit(x, (0, 2, 3)), rows.reshape(3, 2, 4, 5).transpose(0, 1))
