"""Maths that more than one loss needs. Everything works on (N, C, H, W) maps, in any memory format."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def sample_labels(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Sample label maps (N, H, W) to ``size`` (h, w) by nearest neighbor; classes are never mixed."""
    if labels.shape[-2:] == tuple(size):
        return labels
    return F.interpolate(labels[:, None].float(), size=tuple(size), mode='nearest')[:, 0].to(labels.dtype)


def class_masks(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Masks (N, P, classes) of the classes, from labels (N, H, W) with P pixels; none for void.

    ``features.flatten(2) @ masks`` are the sums of features (N, C, classes) over the classes. All classes have one, of
    zeros where they do not occur: to leave those out would wait for the GPU to find them.
    """
    return (labels.flatten(1)[..., None] == torch.arange(classes, device=labels.device)).to(dtype)


def differentiable_zero(student: Tensor) -> Tensor:
    """A zero that carries a (zero) gradient to ``student``, finite even where ``student`` is not.

    A detached constant would leave parameters without a gradient, and DDP waiting for it.
    """
    return student[:0].sum()


def inverse_norm(x: Tensor, dim: int | Sequence[int] = 1, eps: float = 1e-8) -> Tensor:
    """One over the length of the vectors along ``dim`` (kept, size 1); 0 for a vector not longer than ``eps``.

    Unlike division by ``max(norm, eps)``, a zero vector gets a zero gradient, not one of 1 / eps.
    """
    norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return torch.where(norm > eps, 1 / norm.clamp_min(eps), torch.zeros_like(norm))


def unit(x: Tensor, dim: int | Sequence[int] = 1, eps: float = 1e-8) -> Tensor:
    """Scale vectors along ``dim`` to length one; a zero vector becomes (stays) zero, with zero gradient."""
    return x * inverse_norm(x, dim, eps)


def root(x: Tensor, eps: float = 1e-14) -> Tensor:
    """The square root; 0, with zero gradient instead of an infinite one, for what is not greater than ``eps``."""
    return torch.where(x > eps, x.clamp_min(eps).sqrt(), torch.zeros_like(x))


def squared_lengths(features: Tensor) -> Tensor:
    """Squared length (N, P) of the vectors of features (N, C, P), without a map of all squares."""
    # On CPU, fresh memory for that map takes longer than the sums, and a norm is slow where numbers lie far apart.
    return sum(part.square().sum(1) for part in features.split(64, dim=1))


def softened_divergence(student: Tensor, teacher: Tensor, temperature: float, dim: int) -> Tensor:
    """Sum of KL(teacher || student), in nats, of the softmax over ``dim`` of logits divided by ``temperature``.

    The gradient, which reaches the student only, is formed beside the value: one map is kept in place of two.
    """
    return _SoftenedDivergence.apply(student, teacher, temperature, dim)


class _SoftenedDivergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, student: Tensor, teacher: Tensor, temperature: float, dim: int) -> Tensor:
        # A division by 1 would cost as much as any.
        logs, targets = (F.log_softmax(x if temperature == 1 else x / temperature, dim=dim) for x in (student, teacher))
        shares = targets.exp()
        value = targets.sub_(logs).mul_(shares).sum()
        gradient = logs.exp_().sub_(shares)
        ctx.save_for_backward(gradient if temperature == 1 else gradient.div_(temperature))
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return grad * gradient, None, None, None


def gram_distance(x: Tensor, y: Tensor) -> Tensor:
    r"""Squared Frobenius distance :math:`\|x^T x - y^T y\|_F^2` of (N, C, P) and (N, D, P), per sample (N,).

    The P x P matrices are never formed where P > C + D: by the identity :math:`\|x x^T\|^2 + \|y y^T\|^2 - 2 \|x
    y^T\|^2` time is O(P C D) and memory O(C D) instead of O(P^2). The result is exact up to rounding, which is clamped
    at 0.
    """
    if x.shape[2] <= x.shape[1] + y.shape[1]:
        return (x.transpose(1, 2) @ x - y.transpose(1, 2) @ y).square().sum((1, 2))

    def overlap(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.transpose(1, 2)).square().sum((1, 2))

    return (overlap(x, x) + overlap(y, y) - 2 * overlap(x, y)).clamp_min(0)
