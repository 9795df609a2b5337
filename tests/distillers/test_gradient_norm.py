import pytest
import torch
import torch.utils.checkpoint
from torch import nn

from mmseg_kd.distillers.gradient_norm import gradient_norm


@pytest.mark.parametrize('factor', [1.0, 1e-6, 1e6, 1e35])
def test_the_norm_is_that_of_the_gradient_and_nothing_else_changes(factor):
    used, free, frozen = (nn.Parameter(torch.tensor([1.0, 2.0])) for _ in range(3))
    frozen.requires_grad_(False)
    used.grad = torch.ones(2)
    fired = []
    used.register_post_accumulate_grad_hook(fired.append)
    loss = factor * (used * torch.tensor([3.0, -4.0]) * frozen).sum()
    # The gradient is (3 * 1, -4 * 2).
    assert gradient_norm(loss, [used, free, frozen]).item() == pytest.approx(factor * 73**0.5, rel=1e-6)
    assert gradient_norm(loss, [free]) is None and gradient_norm(loss.detach(), [used]) is None
    assert used.grad.tolist() == [1, 1] and free.grad is None and not fired
    loss.backward()  # the graph is still there
    assert fired


def test_small_gradients_survive_half_precision_and_large_ones_are_found_again_after_shrinking():
    weight = nn.Parameter(torch.ones(4))
    loss = ((weight.half() * torch.tensor([3e-4, 0, 0, 4e-4]).half()).float() * 1e-5).sum()
    assert gradient_norm(loss, [weight]).item() == pytest.approx(5e-9, rel=1e-2)
    # A loss of both signs may be small by chance, and its scaled gradient too large.
    loss = ((weight.half() * torch.tensor([3.0, -3.0, 0, 0]).half()).float() * 100).sum() + 1e-4
    assert not torch.isfinite(gradient_norm(loss, [weight]))
    assert gradient_norm(loss, [weight], shrink=2.0**24).item() == pytest.approx(300 * 2**0.5, rel=1e-3)


@pytest.mark.parametrize('reentrant', [True, False])
def test_backbones_with_activation_checkpointing(reentrant):
    layer, head = nn.Linear(2, 2), nn.Linear(2, 1)
    x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    expected = torch.autograd.grad(head(layer(x)).square().sum(), [*layer.parameters()])
    loss = head(torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=reentrant)).square().sum()
    for _ in range(2):
        norm = gradient_norm(loss, list(layer.parameters()), [*head.parameters()])
        assert norm.item() == pytest.approx(torch.cat([g.flatten() for g in expected]).norm().item(), rel=1e-5)
    assert all(p.grad is None for p in [*layer.parameters(), *head.parameters()])
