import pytest
import torch

from mmseg_kd.losses.critic import HolisticCritic, SelfAttention, frozen, slope_penalty


@pytest.mark.parametrize(
    'size, scores', [((64, 64), (1, 1)), ((64, 96), (1, 3)), ((20, 33), (1, 1)), ((130, 64), (5, 1))]
)
def test_scores_are_a_map_and_small_maps_are_resized(size, scores):
    assert HolisticCritic(3)(torch.randn(2, 3, *size)).shape == (2, 1, *scores)


def test_samples_of_a_batch_do_not_mix():
    critic, x = HolisticCritic(3).eval(), torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(critic(x)[:1], critic(x[:1]))


def test_attention_by_hand():
    layer, x = SelfAttention(8).double(), torch.randn(2, 8, 2, 3, dtype=torch.float64)
    assert torch.equal(layer(x), x)  # the gain starts at 0
    layer.gamma.data.fill_(0.5)
    out = layer(x)
    query, key, value = (f(x).flatten(2) for f in (layer.query, layer.key, layer.value))
    for n in range(2):
        for place in range(6):
            alike = [(query[n, :, place] * key[n, :, other]).sum().exp() for other in range(6)]
            found = sum(share * value[n, :, other] for other, share in enumerate(alike)) / sum(alike)
            torch.testing.assert_close(out.flatten(2)[n, :, place], x.flatten(2)[n, :, place] + 0.5 * found)


def test_the_slope_of_a_linear_critic_is_known_wherever_it_is_taken():
    weight = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1).requires_grad_()
    real, fake = torch.randn(2, 5, 2, 1, 1)
    penalty = slope_penalty(lambda x: (weight * x).sum(1), real, fake)
    assert penalty.item() == pytest.approx((5 - 1) ** 2)
    penalty.backward()  # d (|w| - 1)^2 / dw = 2 (|w| - 1) w / |w|
    torch.testing.assert_close(weight.grad.flatten(), 8 * torch.tensor([0.6, 0.8]))


def test_frozen_parameters_get_no_gradient():
    layer, x = torch.nn.Linear(2, 1), torch.randn(3, 2, requires_grad=True)
    y = frozen(layer, x)
    assert torch.equal(y, layer(x))
    y.sum().backward()
    assert layer.weight.grad is None and x.grad is not None and layer.weight.requires_grad
