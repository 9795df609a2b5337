import numpy as np
import pytest
import torch
from reference import kept_floats, softmax
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_kd.losses.relations import ProjectionHead, relation_divergence


def vectors(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*size, generator=generator, dtype=torch.float64) for size in sizes]


def expected(student, teacher, student_keys, teacher_keys, tau, groups):
    result = []
    for s, t in zip(student.numpy(), teacher.numpy()):
        total = 0.0
        for ks, kt in zip(np.split(student_keys.numpy(), groups), np.split(teacher_keys.numpy(), groups)):
            q, p = softmax(ks @ s / tau, 0), softmax(kt @ t / tau, 0)
            total += (p * np.log(p / q)).sum()
        result.append(total)
    return result


@pytest.mark.parametrize('rows', [1, 4, 7, 100])
@pytest.mark.parametrize('groups', [1, 3])
def test_equals_the_formula_however_many_anchors_at_a_time(groups, rows):
    inputs = vectors((7, 3), (7, 5), (6, 3), (6, 5))
    weights = torch.arange(7.0, dtype=torch.float64)
    value = relation_divergence(*inputs, weights, 0.7, groups=groups, rows=rows)
    np.testing.assert_allclose(value.item(), weights.numpy() @ expected(*inputs, 0.7, groups), rtol=1e-9)


def test_gradient():
    s, t, sk, tk, w = vectors((5, 3), (5, 2), (4, 3), (4, 2), (5,))
    assert torch.autograd.gradcheck(
        lambda s, k: relation_divergence(s, t, k, tk, w, 0.5, groups=2, rows=2),
        (s.requires_grad_(), sk.requires_grad_()),
    )


@pytest.mark.parametrize('rows', [1, 3, 6])
def test_the_gradient_does_not_depend_on_the_rows(rows):
    """Anchors that are keys at the same time, as in a batch, have two gradients to add."""
    (s, t, w), grads = vectors((7, 3), (7, 2), (7,)), []
    s.requires_grad_()
    for r in (rows, 7):
        grads.append(torch.autograd.grad(relation_divergence(s, t, s, t, w, 0.5, rows=r).square(), s)[0])
    torch.testing.assert_close(*grads, rtol=1e-12, atol=1e-12)


def test_no_similarities_are_kept():
    s, t = (x.float() for x in vectors((400, 4), (400, 4)))
    w = torch.ones(400)
    assert kept_floats(lambda s, t: relation_divergence(s, t, s, t, w, 0.1, rows=50), s, t) <= 2 * 400 * 4


class LargestProduct(TorchDispatchMode):
    """Notes the number of elements of the largest tensor that any operation returns."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.numel())
        return result


def test_no_larger_matrix_than_that_of_some_rows_is_formed_in_either_pass():
    s, t = (x.float() for x in vectors((400, 4), (400, 4)))
    s.requires_grad_()
    with LargestProduct() as mode:
        relation_divergence(s, t, s, t, torch.ones(400), 0.1, rows=50).backward()
    assert s.grad.abs().sum() > 0 and mode.largest == 50 * 400


def test_equal_similarities_have_no_divergence():
    s, _ = vectors((5, 3), (1, 1))
    assert relation_divergence(s, s, s, s, torch.ones(5), 0.1).abs() < 1e-12


def test_the_head_maps_every_pixel_alike():
    head = ProjectionHead(3, 5).eval()
    x = torch.randn(2, 3, 4, 6)
    y = head(x)
    assert y.shape == (2, 5, 4, 6) and (y < 0).any()
    torch.testing.assert_close(head(x[..., 1:2, 2:3]), y[..., 1:2, 2:3])
    assert [p.numel() for p in head.parameters()] == [15, 5, 5, 25]
