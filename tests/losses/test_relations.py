import numpy as np
import pytest
import torch
from reference import kept_floats, softmax
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_kd.losses.relations import (
    ProjectionHead,
    batch_relation_divergence,
    check_head,
    check_temperature,
    relation_divergence,
)


def vectors(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*size, generator=generator, dtype=torch.float64) for size in sizes]


def unit_vectors(*sizes):
    return [x / x.norm(dim=1, keepdim=True) for x in vectors(*sizes)]


def divergences(student, teacher, student_keys, teacher_keys, tau):
    """KL of every anchor, from float64."""
    s, t = (softmax(x.numpy() @ k.numpy().T / tau, 1) for x, k in ((student, student_keys), (teacher, teacher_keys)))
    return (t * np.log(t / s)).sum(1)


@pytest.mark.parametrize('rows', [0, 1, 4, 7, 100])
def test_equals_the_formula_however_many_anchors_at_a_time(rows):
    student, teacher, keys = vectors((7, 3), (7, 3), (6, 3))
    weights = torch.arange(7.0, dtype=torch.float64)
    expected = weights.numpy() @ divergences(student, teacher, keys, keys, 0.7)
    value = relation_divergence(student, teacher, keys, weights, 0.7, block=6 * rows + 1)
    np.testing.assert_allclose(value.item(), expected, rtol=1e-9)


@pytest.mark.parametrize('rows', [2, 5])
def test_gradient(rows):
    s, t, keys, w = vectors((5, 3), (5, 3), (4, 3), (5,))
    assert torch.autograd.gradcheck(
        lambda s: relation_divergence(s, t, keys, w, 0.5, block=4 * rows), s.requires_grad_()
    )


# Parts of a group (the last may be shorter), one group, two of three groups and the third, all.
ROWS = [1, 2, 3, 4, 5, 8, 11, 12, 100]


@pytest.mark.parametrize('rows', ROWS)
@pytest.mark.parametrize('tau', [0.7, 0.02, 0.003])
def test_a_batch_gives_the_formula_in_blocks_of_any_size(tau, rows):
    s, t = unit_vectors((12, 3), (12, 5))
    expected = sum(divergences(s, t, *keys, tau).sum() for keys in zip(s.split(4), t.split(4)))
    value = batch_relation_divergence(s, t, tau, groups=3, rows=rows)
    np.testing.assert_allclose(value.item(), expected, rtol=1e-9)
    single = batch_relation_divergence(s.float(), t.float(), tau, groups=3, rows=rows)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.item(), expected, rtol=1e-4)


@pytest.mark.parametrize('rows', ROWS)
def test_a_batch_gives_the_gradient_in_blocks_of_any_size(rows):
    s, t = unit_vectors((12, 3), (12, 2))
    function = lambda s: batch_relation_divergence(s, t, 0.5, groups=3, rows=rows).square()  # noqa: E731
    assert torch.autograd.gradcheck(function, s.requires_grad_(), fast_mode=True)


def test_no_similarities_are_kept():
    s, t = (x.float() for x in unit_vectors((400, 4), (400, 4)))
    assert kept_floats(lambda s, t: relation_divergence(s, t, t, torch.ones(400), 0.1, block=50 * 400), s, t) <= 400 * 4
    for rows in (50, 1000):
        assert kept_floats(lambda s, t: batch_relation_divergence(s, t, 0.1, 2, rows=rows), s, t) <= 400 * 4


class Products(TorchDispatchMode):
    """Counts matrix products, and notes the number of elements of the largest tensor that any operation returns."""

    largest = multiplications = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.numel())
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm_):
            a, b = args[-2:]
            self.multiplications += a.numel() * b.shape[1]
        return result


def test_no_larger_matrix_than_that_of_some_rows_is_formed_in_either_pass():
    s, t = (x.float() for x in unit_vectors((400, 4), (400, 4)))
    s.requires_grad_()
    with Products() as mode:
        relation_divergence(s, t, t, torch.ones(400), 0.1, block=50 * 400).backward()
    assert s.grad.abs().sum() > 0 and mode.largest == 50 * 400
    with Products() as mode:
        batch_relation_divergence(s, t, 0.1, groups=2, rows=50).backward()
    assert mode.largest == 50 * 50


@pytest.mark.parametrize('rows, products', [(100, 2.25), (50, 4 * 0.5625 + 1)])
def test_a_batch_of_four_takes_less_than_the_four_products_of_all_pairs(rows, products):
    """Similarities of both networks once for both vectors (5/8), or twice in smaller blocks (9/16), and one gradient."""
    s, t = (x.float() for x in unit_vectors((400, 4), (400, 4)))
    with Products() as mode:
        batch_relation_divergence(s.requires_grad_(), t, 0.1, groups=4, rows=rows)
    assert mode.multiplications / (400 * 400 * 4) == pytest.approx(products)


def test_equal_similarities_have_no_divergence():
    s, _ = unit_vectors((6, 3), (1, 1))
    assert relation_divergence(s, s, s, torch.ones(6), 0.1).abs() < 1e-12
    assert batch_relation_divergence(s, s, 0.1, groups=2).abs() < 1e-12


def test_a_temperature_that_would_lose_similarities_is_refused():
    check_temperature('MyLoss', 0.003)
    with pytest.raises(ValueError, match='MyLoss: temperature must be >= 0.003, but is 0.002'):
        check_temperature('MyLoss', 0.002)


def test_a_head_is_set_up_for_the_maps():
    student, teacher = torch.zeros(1, 3, 2, 2), torch.zeros(1, 5, 2, 2)
    check_head('MyLoss', ProjectionHead(3, 5), student, teacher)
    with pytest.raises(ValueError, match='MyLoss has no projection head yet: call setup'):
        check_head('MyLoss', None, student, teacher)
    for maps in ((teacher, teacher), (student, student)):
        with pytest.raises(ValueError, match='MyLoss was set up for 3 channels of the student and 5 of the teacher'):
            check_head('MyLoss', ProjectionHead(3, 5), *maps)


def test_the_head_maps_every_pixel_alike():
    head = ProjectionHead(3, 5).eval()
    x = torch.randn(2, 3, 4, 6)
    y = head(x)
    assert y.shape == (2, 5, 4, 6) and (y < 0).any()
    torch.testing.assert_close(head(x[..., 1:2, 2:3]), y[..., 1:2, 2:3])
    assert [p.numel() for p in head.parameters()] == [15, 5, 5, 25]
