"""The norm of a loss's gradient, without effect on the training step that computes the loss."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

# Losses are scaled to this value, so that their gradients do not underflow in half precision. The scale is a power of
# 2, which changes no digit. It is limited, since a loss of both signs may be near 0 by chance.
SCALED, LIMITS = 2.0**13, (-60, 24)


def gradient_norm(
    loss: Tensor, parameters: Sequence[nn.Parameter], others: Iterable[nn.Parameter] = (), shrink: float = 1.0
) -> Tensor | None:
    """Norm of the gradient of a loss with respect to parameters, in float32.

    The graph of the loss is kept for the backward pass of training. Gradients in ``.grad`` and the hooks of
    ``DistributedDataParallel`` are left alone.

    Args:
        loss: A scalar.
        parameters: The parameters; those on which the loss does not depend count as 0.
        others: Further parameters on which the loss may depend.
        shrink: A power of 2 that the scaled loss is divided by, for a second attempt after an overflow in half
            precision.

    Returns:
        The scalar norm; None if the loss depends on none of the parameters.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        >>> loss = (weight * torch.tensor([3.0, 4.0])).sum()
        >>> gradient_norm(loss, [weight]).item(), weight.grad
        (5.0, None)
    """
    wanted = [p for p in parameters if p.requires_grad]
    if not loss.requires_grad or not wanted:
        return None
    loss = loss.float()
    exponent = torch.log2(SCALED / loss.detach().abs()).nan_to_num(0.0).round().clamp(*LIMITS)
    scale = torch.exp2(exponent) / shrink
    found: Sequence[Tensor | None]
    # Autocast is meant for forward passes only.
    with torch.autocast(loss.device.type, enabled=False):
        if _has_reentrant_checkpoints(loss):
            found = _by_backward(loss, scale, wanted, [*wanted, *others])
        else:
            found = torch.autograd.grad(loss, wanted, scale, retain_graph=True, allow_unused=True)
    norms = [gradient.float().norm() for gradient in found if gradient is not None]
    return torch.stack(norms).norm() / scale if norms else None


def _has_reentrant_checkpoints(loss: Tensor) -> bool:
    """Whether the graph has activation checkpoints that torch.autograd.grad() does not see through, or refuses."""
    seen, stack = set(), [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if 'CheckpointFunction' in node.name():
            return True
        stack += [following for following, _ in node.next_functions]
    return False


def _by_backward(
    loss: Tensor, scale: Tensor, wanted: list[nn.Parameter], leaves: list[nn.Parameter]
) -> list[Tensor | None]:
    """Gradients by a backward pass, after which ``.grad`` is as before."""
    before = [p.grad for p in leaves]
    try:
        for p in leaves:
            p.grad = None
        loss.backward(scale, retain_graph=True)
        return [p.grad for p in wanted]
    finally:
        for p, gradient in zip(leaves, before):
            p.grad = gradient
