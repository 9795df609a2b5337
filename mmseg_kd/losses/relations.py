"""How alike vectors are to others, as distributions: what the losses of CIRKD compare."""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def relation_divergence(
    student: Tensor,
    teacher: Tensor,
    student_keys: Tensor,
    teacher_keys: Tensor,
    weights: Tensor,
    temperature: float,
    groups: int = 1,
    rows: int = 1024,
) -> Tensor:
    r"""Weighted sum of KL(teacher || student), in nats, of the distributions of anchors over keys.

    .. math:: L = \sum_a w_a \sum_g \mathrm{KL}\big(\mathrm{softmax}_{k \in g}(t_a \cdot k^t / \tau) \,\|\,
        \mathrm{softmax}_{k \in g}(s_a \cdot k^s / \tau)\big)

    No matrix of anchors and keys outlives its use: anchors are taken ``rows`` at a time, and the gradient, which
    reaches the student's anchors and keys, is formed with the value. Memory is O(A D) between the passes and O(rows K)
    within.

    Args:
        student: anchors (A, D) of the student.
        teacher: anchors (A, E) of the teacher.
        student_keys: what the student's anchors are compared with, (K, D).
        teacher_keys: what the teacher's anchors are compared with, (K, E).
        weights: of the anchors, (A,).
        temperature: :math:`\tau`.
        groups: how many parts of equal size the keys have, each with a distribution of its own.
        rows: how many anchors are taken at a time.

    Returns:
        Tensor: a scalar.
    """
    return _Relations.apply(student, teacher, student_keys, teacher_keys, weights, temperature, groups, rows)


class _Relations(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        student: Tensor,
        teacher: Tensor,
        student_keys: Tensor,
        teacher_keys: Tensor,
        weights: Tensor,
        temperature: float,
        groups: int,
        rows: int,
    ) -> Tensor:

        def logs(anchors: Tensor, keys: Tensor) -> Tensor:
            return (anchors @ keys.t()).div_(temperature).unflatten(1, (groups, -1)).log_softmax(2)

        total, to_anchors, to_keys = student.new_zeros(()), [], None
        if ctx.needs_input_grad[2]:
            to_keys = torch.zeros_like(student_keys)
        for s, t, w in zip(*(x.split(rows) for x in (student, teacher, weights))):
            ours, theirs = logs(s, student_keys), logs(t, teacher_keys)
            shares = theirs.exp()
            total += (w * (shares * theirs.sub_(ours)).sum((1, 2))).sum()
            gradient = ours.exp_().sub_(shares).flatten(1).mul_(w[:, None] / temperature)
            to_anchors.append(gradient @ student_keys)
            if to_keys is not None:
                to_keys.addmm_(gradient.t(), s)
        ctx.save_for_backward(torch.cat(to_anchors), to_keys)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        to_anchors, to_keys = ctx.saved_tensors
        return grad * to_anchors, None, None if to_keys is None else grad * to_keys, None, None, None, None, None


class ProjectionHead(nn.Sequential):
    """1x1 convolution, BatchNorm, ReLU and 1x1 convolution: the student's way into the teacher's space.

    Args:
        in_channels: of the student.
        out_channels: of the teacher.

    Shape:
        (N, in_channels, H, W) to (N, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 1, bias=False),
        )
        self.in_channels, self.out_channels = in_channels, out_channels


def check_head(name: str, head: ProjectionHead | None, student: Tensor, teacher: Tensor) -> None:
    """Raise ValueError unless the loss ``name`` was set up for maps of these channels."""
    if head is None:
        raise ValueError(f'{name} has no projection head yet: call setup(student, teacher) before the loss')
    if (head.in_channels, head.out_channels) != (student.shape[1], teacher.shape[1]):
        raise ValueError(
            f'{name} was set up for {head.in_channels} channels of the student and {head.out_channels} of '
            f'the teacher, but got {student.shape[1]} and {teacher.shape[1]}; give the paths of the setup'
        )
