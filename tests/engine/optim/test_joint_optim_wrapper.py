import pytest
import torch
from mmengine.optim import OptimWrapper

from mmseg_kd.engine import JointOptimWrapper

if not hasattr(torch.amp, 'GradScaler'):
    pytest.skip('torch below 2.3 scales losses on CUDA only', allow_module_level=True)


def joint(accumulative_counts=1):
    """Two parameters, each with its own rule, and a loss that reaches both."""
    a, b = (torch.nn.Parameter(torch.tensor(1.0)) for _ in range(2))
    main = OptimWrapper(torch.optim.SGD([a], lr=0.1), accumulative_counts=accumulative_counts)
    other = OptimWrapper(torch.optim.SGD([b], lr=0.01))
    return a, b, JointOptimWrapper(main=main, critic=other)


def test_each_optimiser_steps_by_its_own_rule():
    a, b, wrapper = joint()
    wrapper.update_params(2 * a + 3 * b)
    assert (a.item(), b.item()) == pytest.approx((1 - 0.1 * 2, 1 - 0.01 * 3))
    assert a.grad is None and b.grad is None


def test_accumulation_holds_both_back():
    a, b, wrapper = joint(accumulative_counts=2)
    wrapper.initialize_count_status(torch.nn.Identity(), 0, 4)
    wrapper.update_params(2 * a + 3 * b)
    assert (a.item(), b.item()) == (1, 1)
    wrapper.update_params(2 * a + 3 * b)
    assert (a.item(), b.item()) == pytest.approx((1 - 0.1 * 2, 1 - 0.01 * 3))


def test_state_goes_round():
    a, b, wrapper = joint()
    wrapper['critic'].optimizer.param_groups[0]['lr'] = 7.0
    other = joint()[2]
    other.load_state_dict(wrapper.state_dict())
    assert other['critic'].optimizer.param_groups[0]['lr'] == 7.0
    assert wrapper.get_lr()['critic.lr'] == [7.0]


class FakeScaler(torch.amp.GradScaler):
    """Scales on the CPU, and records the order of calls."""

    def __init__(self):
        super().__init__('cpu', init_scale=4.0)
        self.calls = []

    def step(self, optimizer, *args, **kwargs):
        self.calls.append('step')
        return super().step(optimizer, *args, **kwargs)

    def update(self, new_scale=None):
        self.calls.append('update')
        return super().update(new_scale)


class Amp(OptimWrapper):
    """What MMEngine's AmpOptimWrapper does with its scaler, on the CPU."""

    def __init__(self, optimizer):
        super().__init__(optimizer)
        self.loss_scaler = FakeScaler()

    def scale_loss(self, loss):
        return self.loss_scaler.scale(loss)

    def step(self, **kwargs):
        self.loss_scaler.step(self.optimizer)
        self.loss_scaler.update()


def test_a_scaled_loss_is_unscaled_for_both_before_the_scale_changes():
    a, b, wrapper = joint()
    wrapper.optim_wrappers['main'] = Amp(wrapper['main'].optimizer)
    wrapper.update_params(2 * a + 3 * b)
    assert (a.item(), b.item()) == pytest.approx((1 - 0.1 * 2, 1 - 0.01 * 3))
    assert wrapper['main'].loss_scaler.calls == ['step', 'step', 'update']


@pytest.mark.parametrize('kind', [OptimWrapper, Amp])
def test_what_rests_does_not_move_by_momentum(kind):
    a, b, c = (torch.nn.Parameter(torch.tensor(1.0)) for _ in range(3))
    other = OptimWrapper(torch.optim.SGD([b, c], lr=0.01, momentum=0.9, weight_decay=0.1))
    wrapper = JointOptimWrapper(main=kind(torch.optim.SGD([a], lr=0.1)), critic=other)
    wrapper.update_params(a + b + c)
    moved = b.item(), c.item()
    model = torch.nn.Identity()
    for resting in ([b], [b, c]):
        model.resting_parameters = lambda: resting
        with wrapper.optim_context(model):
            wrapper.update_params(a + 0 * b + 0 * c)
        assert b.item() == moved[0]
    assert c.item() != moved[1]
