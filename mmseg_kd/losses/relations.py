"""How alike vectors are to others, as distributions: what the losses of CIRKD compare."""
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def relation_divergence(student: Tensor,
                        teacher: Tensor,
                        student_keys: Tensor,
                        teacher_keys: Tensor,
                        temperature: float,
                        groups: int = 1,
                        rows: int = 1024) -> Tensor:
    r"""KL(teacher || student), in nats, of the distributions of anchors over keys.

    .. math:: L_a = \sum_g \mathrm{KL}\big(\mathrm{softmax}_{k \in g}(t_a \cdot k^t / \tau) \,\|\,
        \mathrm{softmax}_{k \in g}(s_a \cdot k^s / \tau)\big)

    No matrix of anchors and keys outlives its use: anchors are taken ``rows`` at a time, and their similarities are
    computed a second time for the backward pass. Memory is O(A D) between the passes and O(rows K) within.

    Args:
        student: anchors (A, D) of the student.
        teacher: anchors (A, E) of the teacher.
        student_keys: what the student's anchors are compared with, (K, D).
        teacher_keys: what the teacher's anchors are compared with, (K, E).
        temperature: :math:`\tau`.
        groups: how many parts of equal size the keys have, each with a distribution of its own.
        rows: how many anchors are taken at a time.

    Returns:
        Tensor: (A,).
    """
    parts = zip(student.split(rows), teacher.split(rows))
    return torch.cat([
        checkpoint(_divergence, s, t, student_keys, teacher_keys, temperature, groups, use_reentrant=False,
                   preserve_rng_state=False) for s, t in parts])


def _divergence(student: Tensor, teacher: Tensor, student_keys: Tensor, teacher_keys: Tensor, temperature: float,
                groups: int) -> Tensor:
    s, t = ((x @ keys.t() / temperature).unflatten(1, (groups, -1)).log_softmax(2)
            for x, keys in ((student, student_keys), (teacher, teacher_keys)))
    return F.kl_div(s, t, reduction='none', log_target=True).sum((1, 2))


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
            nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 1, bias=False))
        self.in_channels, self.out_channels = in_channels, out_channels


def check_head(name: str, head: Optional[ProjectionHead], student: Tensor, teacher: Tensor) -> None:
    """Raise ValueError unless the loss ``name`` was set up for maps of these channels."""
    if head is None:
        raise ValueError(f'{name} has no projection head yet: call setup(student, teacher) before the loss')
    if (head.in_channels, head.out_channels) != (student.shape[1], teacher.shape[1]):
        raise ValueError(f'{name} was set up for {head.in_channels} channels of the student and {head.out_channels} of '
                         f'the teacher, but got {student.shape[1]} and {teacher.shape[1]}; give the paths of the setup')
