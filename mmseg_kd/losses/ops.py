"""Maths that several losses share. Maps have the shape (N, C, H, W), in any memory format."""

import functools
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def sample_labels(labels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Sample label maps (N, H, W) to ``size`` (h, w) by the nearest neighbor; classes are never mixed."""
    if labels.shape[-2:] == tuple(size):
        return labels
    return F.interpolate(labels[:, None].float(), size=tuple(size), mode='nearest')[:, 0].to(labels.dtype)


def class_masks(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Masks (N, P, classes) of the classes, from labels (N, H, W) with P pixels; ignored pixels lie in none.

    ``features.flatten(2) @ masks`` are the sums of the features over the classes, (N, C, classes). A class that does
    not occur has a mask of zeros: to drop it, the CPU would have to wait for the GPU.
    """
    return (labels.flatten(1)[..., None] == torch.arange(classes, device=labels.device)).to(dtype)


def differentiable_zero(student: Tensor) -> Tensor:
    """A zero that carries a (zero) gradient to ``student``, and is finite even where ``student`` is not.

    A detached constant would leave parameters without a gradient, for which DDP would wait.
    """
    return student[:0].sum()


def squared_lengths(x: Tensor, dim: int = 1) -> Tensor:
    """Squared length of the vectors along ``dim`` (kept, size 1). Only ``x`` is kept for the gradient."""
    return _SquaredLengths.apply(x, dim)


class _SquaredLengths(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, dim: int) -> Tensor:
        ctx.save_for_backward(x)
        return _products(x, x, dim)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        return x * (2 * grad), None


def _products(x: Tensor, y: Tensor, dim: int) -> Tensor:
    """Inner products of the vectors along ``dim`` (kept, size 1), of channels without a map of all products."""
    if dim != 1 or x.dim() < 3:
        return (x * y).sum(dim, keepdim=True)
    # On a CPU, new memory for that map takes longer than the sums, and a norm is slow on numbers that lie far apart.
    return tensor_sum((a * b).sum(1, keepdim=True) for a, b in zip(x.split(32, dim=1), y.split(32, dim=1)))


def inverse_norm(x: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """One over the length of the vectors along ``dim`` (kept, size 1); 0 for vectors of length ``eps`` or less.

    Unlike a division by ``max(norm, eps)``, a zero vector gets a zero gradient instead of one of 1 / eps.
    """
    squares = squared_lengths(x, dim)
    return torch.where(squares > eps**2, squares.clamp_min(eps**2).rsqrt(), 0)


def unit(x: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Scale vectors along ``dim`` to length one; a zero vector stays zero, with zero gradient."""
    return _Unit.apply(x, dim, eps)


class _Unit(torch.autograd.Function):
    # u = x / |x|, so that x gets (g - (g . u) u) / |x| from the incoming gradient g.

    @staticmethod
    def forward(ctx, x: Tensor, dim: int, eps: float) -> Tensor:
        inverse = inverse_norm(x, dim, eps)
        directions = x * inverse
        ctx.save_for_backward(directions, inverse)
        ctx.dim = dim
        return directions

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        directions, inverse = ctx.saved_tensors
        along = _products(grad, directions, ctx.dim)
        return torch.addcmul(grad, directions, along, value=-1).mul_(inverse), None, None


def average_pool(x: Tensor, kernel: int) -> Tensor:
    """Means over kernel x kernel cells of maps (N, C, H, W); cells at the border are means over the pixels in the map.

    It is ``avg_pool2d(ceil_mode=True)``, whose compiled gradient is wrong for incomplete cells (docs/upstream.md).
    """
    height, width = x.shape[2:]
    room = (0, -width % kernel, 0, -height % kernel)
    if not any(room):
        return F.avg_pool2d(x, kernel)
    filled = F.avg_pool2d(F.pad(x.new_ones(1, height, width), room), kernel)
    return F.avg_pool2d(F.pad(x, room), kernel) / filled


def attention(features: Tensor) -> Tensor:
    """Mean square of the channels of each pixel, as a vector (N, P) of length one."""
    return unit(squared_lengths(features).flatten(1) / features.shape[1], eps=1e-12)


def tensor_sum(values: Iterable[Tensor]) -> Tensor:
    """The sum of one tensor or more. Unlike that of ``sum``, its type is known to be a tensor."""
    return functools.reduce(torch.add, values)


def root(x: Tensor, eps: float = 1e-14) -> Tensor:
    """The square root; 0 for values up to ``eps``, with zero gradient instead of an infinite one."""
    return torch.where(x > eps, x.clamp_min(eps).sqrt(), torch.zeros_like(x))


def with_gradient(student: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
    """``value``, whose gradient with respect to ``student`` was computed together with it."""
    return _WithGradient.apply(student, value, gradient)


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, student: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return grad * gradient, None, None


def softened_divergence(student: Tensor, teacher: Tensor, temperature: float, dim: int) -> Tensor:
    """Sum of KL(teacher || student), in nats, of the softmax over ``dim`` of logits divided by ``temperature``.

    The gradient reaches the student only. It is computed together with the value, so that one map is kept instead of
    two.
    """
    values, gradient = divergence_and_gradient(student, teacher, temperature, dim)
    return with_gradient(student, values.sum(), gradient)


@torch.no_grad()
def divergence_and_gradient(student: Tensor, teacher: Tensor, temperature: float, dim: int) -> tuple[Tensor, Tensor]:
    """The summands of :func:`softened_divergence` (``dim`` kept, size 1), and the gradient of their sum."""
    # L = sum_j q_j (log q_j - log p_j) with p = softmax(s / T), q = softmax(t / T), for student s and teacher t.
    # Since d log p_j / d s_i = ([i = j] - p_i) / T, d L / d s_i = -sum_j q_j ([i = j] - p_i) / T.
    # As q sums to one, this is (p_i - q_i) / T.
    s, t = (torch.add(x.amax(dim, keepdim=True) / -temperature, x, alpha=1 / temperature) for x in (student, teacher))
    q = t.exp()
    difference = t.sub_(s)
    p = s.exp_()
    of_s, of_t = p.sum(dim, keepdim=True), q.sum(dim, keepdim=True)
    q.div_(of_t)
    values = difference.mul_(q).sum(dim, keepdim=True) + (of_s / of_t).log()
    p.div_(of_s).sub_(q)
    return values, p if temperature == 1 else p.div_(temperature)


def gram_distance(x: Tensor, y: Tensor) -> Tensor:
    r"""Squared Frobenius distance :math:`\|x^T x - y^T y\|_F^2` of (N, C, P) and (N, D, P), per sample (N,).

    The P x P matrices are not formed where P > C + D. The identity :math:`\|x x^T\|^2 + \|y y^T\|^2 - 2 \|x y^T\|^2`
    takes O(P C D) time and O(C D) memory instead of O(P^2). The result is exact up to rounding, and never below 0.
    """
    if x.shape[2] <= x.shape[1] + y.shape[1]:
        return (x.transpose(1, 2) @ x - y.transpose(1, 2) @ y).square().sum((1, 2))

    def overlap(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.transpose(1, 2)).square().sum((1, 2))

    return (overlap(x, x) + overlap(y, y) - 2 * overlap(x, y)).clamp_min(0)
