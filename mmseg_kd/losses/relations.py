"""Distributions of the similarity of vectors to other vectors: what the losses of CIRKD compare."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .ops import divergence_and_gradient, with_gradient


def relation_divergence(
    student: Tensor, teacher: Tensor, keys: Tensor, weights: Tensor, temperature: float, block: int = 2**20
) -> Tensor:
    r"""Weighted sum of KL(teacher || student), in nats, of the distributions of anchors over keys.

    .. math:: L = \sum_a w_a \mathrm{KL}\big(\mathrm{softmax}_k(t_a \cdot k / \tau) \,\|\,
        \mathrm{softmax}_k(s_a \cdot k / \tau)\big)

    Anchors are processed in parts, and the gradient, which reaches the student's anchors, is computed together with the
    value. No matrix of anchors and keys is kept: memory is O(A D) between the passes and O(A D + block) within.

    Args:
        student: The student's anchors (A, D).
        teacher: The teacher's anchors (A, D).
        keys: The keys (K, D) of both.
        weights: One weight per anchor, (A,).
        temperature: The divisor :math:`\tau` of the similarities.
        block: The largest number of similarities at a time, unless one anchor has more. The default suits the caches of
            CPUs.

    Returns:
        Tensor: A scalar.
    """
    values, gradients = [], []
    rows = max(1, block // len(keys))
    with torch.no_grad():
        for s, t, w in zip(*(x.split(rows) for x in (student, teacher, weights[:, None]))):
            value, gradient = divergence_and_gradient(s @ keys.t(), t @ keys.t(), temperature, dim=1)
            values.append((w * value).sum())
            gradients.append(gradient.mul_(w) @ keys)
    return with_gradient(student, torch.stack(values).sum(), torch.cat(gradients))


def batch_relation_divergence(
    student: Tensor, teacher: Tensor, temperature: float, groups: int, rows: int = 2048
) -> Tensor:
    r"""Sum of KL(teacher || student), in nats, of the distributions of all vectors of a batch over those of each group.

    .. math:: L = \sum_a \sum_g \mathrm{KL}\big(\mathrm{softmax}_{b \in g}(t_a \cdot t_b / \tau) \,\|\,
        \mathrm{softmax}_{b \in g}(s_a \cdot s_b / \tau)\big)

    The similarities are symmetric. Each is computed once, in blocks of at most ``rows`` x ``rows``, and serves both
    vectors. Groups of more than ``rows`` vectors need their similarities a second time: their sums must be complete
    before the gradient. No similarities are kept, and the gradient is computed together with the value.

    Args:
        student: The student's vectors (A, D), of length one or zero, group after group.
        teacher: The teacher's vectors (A, E), of length one or zero.
        temperature: The divisor :math:`\tau` of the similarities, at least 0.003.
        groups: The number of groups, of equal size.
        rows: The largest number of vectors of a block on either side.

    Returns:
        Tensor: A scalar.
    """
    return with_gradient(student, *_batch_relations(student, teacher, temperature, groups, rows))


class _Block(NamedTuple):
    """Some vectors of the batch: those of whole groups, or a part of one group."""

    vectors: slice
    groups: slice


@torch.no_grad()
def _batch_relations(
    student: Tensor, teacher: Tensor, temperature: float, groups: int, rows: int
) -> tuple[Tensor, Tensor]:
    # For the student, let e_ab = exp((s_a . s_b - 1) / T), z_ag the sum of e_ab over b in g, and p_ab = e_ab / z_ag.
    # Likewise q_ab for the teacher. With d_ab = (t_a . t_b - s_a . s_b) / T,
    # L = sum_ab q_ab d_ab + sum_ag log(z_ag / z^t_ag).
    # By the softmax rule, s_a . s_b gets (p_ab - q_ab) / T from the row of a, and (p_ba - q_ba) / T from that of b.
    dtype, count, size = student.dtype, len(student), len(student) // groups
    if temperature < 0.025:  # float32 does not hold exp(-2 / T)
        student, teacher = student.double(), teacher.double()
    sums = [x.new_zeros(count, groups) for x in (student, teacher)]
    value, gradient = student.new_zeros(()), torch.zeros_like(student)

    def exponentials(a: _Block, b: _Block) -> list[Tensor]:
        """d, and e of student and teacher, (groups, vectors, groups, vectors) of two blocks."""
        ours, theirs = ((x[a.vectors] @ x[b.vectors].t()).sub_(1).div_(temperature) for x in (student, teacher))
        first, second = (block.groups.stop - block.groups.start for block in (a, b))
        shape = first, len(ours) // first, second, ours.shape[1] // second
        return [x.view(shape) for x in (theirs - ours, ours.exp_(), theirs.exp_())]

    def add_sums(a: _Block, b: _Block, maps: list[Tensor]) -> None:
        for total, e in zip(sums, maps[1:]):
            total[a.vectors, b.groups] += e.sum(3).flatten(0, 1)
            if a != b:
                total[b.vectors, a.groups] += e.sum(1).permute(1, 2, 0).flatten(0, 1)

    def add_slopes(a: _Block, b: _Block, maps: list[Tensor]) -> None:
        difference, *both = maps
        for total, e in zip(sums, both):
            row = 1 / total[a.vectors, b.groups].view(*e.shape[:3], 1)
            column = 1 / total[b.vectors, a.groups].view(*e.shape[2:], e.shape[0]).permute(2, 0, 1)[:, None]
            e.mul_(row + column)
        value.add_(difference.mul_(both[1]).sum(), alpha=1 if a != b else 0.5)
        slopes = both[0].sub_(both[1]).flatten(2).flatten(0, 1)
        gradient[a.vectors].addmm_(slopes, student[b.vectors])
        if a != b:
            gradient[b.vectors].addmm_(slopes.t(), student[a.vectors])

    step = max(1, rows // size) * size
    starts = [first + part for first in range(0, count, step) for part in range(0, step, rows)]
    blocks = [
        _Block(slice(first, last), slice(first // size, -(-last // size)))
        for first, last in zip(starts, [*starts[1:], count])
    ]
    pairs = [(a, b) for number, a in enumerate(blocks) for b in blocks[: number + 1]]
    for a, b in pairs:
        maps = exponentials(a, b)
        add_sums(a, b, maps)
        if rows >= size:
            add_slopes(a, b, maps)
    if rows < size:
        for a, b in pairs:
            add_slopes(a, b, exponentials(a, b))
    value += (sums[0] / sums[1]).log().sum()
    return value.to(dtype), gradient.div_(temperature).to(dtype)


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


def check_temperature(name: str, temperature: float) -> None:
    """Raise ValueError if cosines over ``temperature`` differ by more than an exponential function can hold."""
    if temperature < 0.003:
        raise ValueError(f'{name}: temperature must be >= 0.003, but is {temperature}')
