"""Log-sums over tables, one table per class: the core of the bound of FAKD."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def class_levels(logits: Tensor, tables: Tensor, labels: Tensor, rows: int) -> Tensor:
    r"""Levels :math:`l_{pc} = \log \sum_j \exp(z_{pj} + T_{y_p c j})`.

    The M x C x C summands are formed for ``rows`` pixels at a time, and again in the backward pass.

    Args:
        logits: The logits z, (M, C).
        tables: The tables T, (K, C, C).
        labels: The class y of each pixel, (M,), less than K.
        rows: The number of pixels processed at a time; it changes memory and time, not the value.

    Returns:
        Tensor: The levels, (M, C).
    """
    return _ClassLevels.apply(logits, tables, labels, rows)


class _ClassLevels(torch.autograd.Function):
    """A gradient by hand: autograd would form one for all tables in each chunk of pixels."""

    # l_pc = log sum_j exp(z_pj + T_ycj), with y the class of pixel p.
    # Hence d l_pc / d z_pj = d l_pc / d T_ycj = exp(z_pj + T_ycj - l_pc) =: w_pcj.
    # With the incoming gradient g, z_pj gets sum_c g_pc w_pcj, and T_ycj the sum of g_pc w_pcj over the pixels of y.

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
