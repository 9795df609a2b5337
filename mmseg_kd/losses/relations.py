"""Distributions of the similarity of vectors to other vectors: what the losses of CIRKD compare."""

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

    Anchors are processed ``rows`` at a time, and the gradient, which reaches the student's anchors and keys, is
    computed together with the value. No matrix of anchors and keys is kept: memory is O(A D) between the passes and
    O(rows K) within.

    Args:
        student: The student's anchors (A, D).
        teacher: The teacher's anchors (A, E).
        student_keys: The keys (K, D) for the student's anchors.
        teacher_keys: The keys (K, E) for the teacher's anchors.
        weights: One weight per anchor, (A,).
        temperature: The divisor :math:`\tau` of the similarities.
        groups: The number of groups of equal size into which the keys are split; each has its own distribution.
        rows: The number of anchors processed at a time.

    Returns:
        Tensor: A scalar.
    """
    return _Relations.apply(student, teacher, student_keys, teacher_keys, weights, temperature, groups, rows)


class _Relations(torch.autograd.Function):
    # For one anchor s of weight w, L = w sum_k q_k (log q_k - log p_k), with p = softmax_k(s . k / T) of the student.
    # By the softmax rule, d L / d (s . k) = w (p_k - q_k) / T =: g_k.
    # Hence d L / d s = sum_k g_k k, and d L / d k is the sum of g_k s over all anchors s.

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
    """1x1 convolution, BatchNorm, ReLU and 1x1 convolution, from the student's space to the teacher's.

    Args:
        in_channels: The number of channels of the student.
        out_channels: The number of channels of the teacher.

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
