"""Log-sums over tables, of which every class has one: what the bound of FAKD is made of."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def class_levels(logits: Tensor, tables: Tensor, labels: Tensor, rows: int) -> Tensor:
    r"""Levels :math:`l_{pc} = \log \sum_j \exp(z_{pj} + T_{y_p c j})`.

    M x C x C numbers are formed for ``rows`` pixels at a time, and again in the backward pass.

    Args:
        logits: z, (M, C).
        tables: T, (K, C, C).
        labels: y, (M,), each less than K.
        rows: how many pixels are taken at a time; changes memory and time, not the value.

    Returns:
        Tensor: (M, C).
    """
    return _ClassLevels.apply(logits, tables, labels, rows)


class _ClassLevels(torch.autograd.Function):
    """The gradient by hand: autograd would form one of all tables for each chunk of pixels."""

    @staticmethod
    def forward(ctx, logits: Tensor, tables: Tensor, labels: Tensor, rows: int) -> Tensor:
        parts = zip(logits.split(rows), labels.split(rows))
        levels = torch.cat([(z[:, None] + tables[y]).logsumexp(2) for z, y in parts])
        ctx.save_for_backward(logits, tables, labels, levels)
        ctx.rows = rows
        return levels

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits, tables, labels, levels = ctx.saved_tensors
        to_logits, to_tables = [], torch.zeros_like(tables)
        for z, y, level, g in zip(*(x.split(ctx.rows) for x in (logits, labels, levels, grad))):
            shares = (z[:, None] + tables[y] - level[..., None]).exp() * g[..., None]
            to_logits.append(shares.sum(1))
            to_tables.index_add_(0, y, shares)
        return torch.cat(to_logits), to_tables, None, None
