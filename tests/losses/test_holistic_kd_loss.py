import numpy as np
import pytest
import torch
from reference import maps
from torch import nn

from mmseg_kd.losses import HingeHolisticKDLoss, HolisticCritic, HolisticKDLoss

BOTH = [HolisticKDLoss, HingeHolisticKDLoss]


class FirstMean(nn.Module):
    """A critic that can be followed by hand: ``gain`` times the first channel."""

    def __init__(self, in_channels, gain=1.0):
        super().__init__()
        self.in_channels = in_channels
        self.gain = nn.Parameter(torch.tensor(gain, dtype=torch.float64))

    def forward(self, x):
        return self.gain * x[:, :1]


def ready(cls, student, teacher):
    torch.manual_seed(0)
    loss = cls()
    loss.setup(student, teacher)
    return loss


def conditional(classes=3, size=(8, 9)):
    student, teacher = (x.float() for x in maps(2, classes, *size, scale=3.0))
    return (student.requires_grad_(), torch.randn(2, 3, 8 * size[0], 8 * size[1])), teacher.requires_grad_()


def first_probability(logits):
    return logits.softmax(1)[:, 0]


def test_student_objective_by_hand():
    student, teacher = maps(2, 3, 4, 5)
    loss = HolisticKDLoss()
    loss.critic = FirstMean(3, gain=2.5)
    torch.testing.assert_close(loss(student, teacher), -2.5 * first_probability(student).mean())


@pytest.mark.parametrize('gain', [0.3, -4.0])
def test_critic_objective_by_hand(gain):
    """The slope of the mean of h x w values times the gain is gain / sqrt(h w)."""
    student, teacher = maps(2, 3, 4, 5)
    loss = HolisticKDLoss(penalty=7.0)
    loss.critic = FirstMean(3, gain)
    margin = gain * (first_probability(student) - first_probability(teacher)).mean()
    torch.testing.assert_close(loss.critic_loss(student, teacher), margin + 7 * (abs(gain) / 20**0.5 - 1) ** 2)


@pytest.mark.parametrize('gain', [0.3, -4.0])
def test_hinge_objective_by_hand(gain):
    student, teacher = maps(2, 3, 4, 5)
    loss = HingeHolisticKDLoss()
    loss.critic = FirstMean(3, gain)
    real, fake = (gain * first_probability(x).numpy() for x in (teacher, student))
    value = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    assert loss.critic_loss(student, teacher).item() == pytest.approx(value)


def test_a_slope_of_one_is_not_penalized():
    student, teacher = maps(2, 3, 4, 5)
    loss = HolisticKDLoss(penalty=1e6)
    loss.critic = FirstMean(3, 20**0.5)
    assert loss.critic_loss(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_the_penalty_is_taken_between_student_and_teacher():
    """A critic of x^2 / 2 has the slope x: at equal inputs the penalty is known, elsewhere it lies between."""
    student, teacher = maps(50, 2, 1, 1, scale=3.0)
    loss = HolisticKDLoss(penalty=1.0)
    loss.critic = FirstMean(2)
    loss.critic.forward = lambda x: x.square() / 2 * loss.critic.gain
    s, t = student.softmax(1), teacher.softmax(1)

    def penalty(x):
        return ((x.square().sum((1, 2, 3)) / 4).sqrt() - 1).square().mean()

    margin = (s.square().mean() - t.square().mean()) / 2
    torch.manual_seed(3)
    value = loss.critic_loss(student, teacher)
    torch.manual_seed(3)
    a = torch.rand(50, 1, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(value, margin + penalty(a * t + (1 - a) * s))
    torch.testing.assert_close(loss.critic_loss(teacher, teacher), penalty(t))


@pytest.mark.parametrize('cls', BOTH)
def test_one_backward_serves_both(cls):
    """Of weight * L_G + L_D the student gets L_G's gradient only, the critic L_D's only, as from two passes."""
    student, teacher = conditional()
    loss = ready(cls, student, teacher)
    # The power iteration would move between the passes that are compared.
    loss.eval()
    parameters = list(loss.critic.parameters())
    (student_alone,) = torch.autograd.grad(0.1 * loss(student, teacher), student[0])
    torch.manual_seed(1)
    critic_alone = torch.autograd.grad(loss.critic_loss(student, teacher), parameters)
    torch.manual_seed(1)
    (0.1 * loss(student, teacher) + loss.critic_loss(student, teacher)).backward()
    torch.testing.assert_close(student[0].grad, student_alone)
    for parameter, grad in zip(parameters, critic_alone):
        torch.testing.assert_close(parameter.grad, grad)
    assert teacher.grad is None
    assert student_alone.abs().sum() > 0 and sum(g.abs().sum() for g in critic_alone) > 0


@pytest.mark.parametrize('cls', BOTH)
def test_each_objective_reaches_its_own_network(cls):
    student, teacher = conditional()
    loss = ready(cls, student, teacher)
    loss(student, teacher).backward()
    assert all(p.grad is None and p.requires_grad for p in loss.critic.parameters())
    assert student[0].grad.abs().sum() > 0
    student[0].grad = None
    loss.critic_loss(student, teacher).backward()
    assert student[0].grad is None and teacher.grad is None
    assert all(p.grad is not None for p in loss.critic.parameters())


@pytest.mark.parametrize('cls', BOTH)
def test_one_backward_works_while_the_power_iteration_moves(cls):
    student, teacher = conditional()
    loss = ready(cls, student, teacher)
    (loss(student, teacher) + loss.critic_loss(student, teacher)).backward()
    gradients = [student[0].grad] + [p.grad for p in loss.critic.parameters()]
    assert all(g.isfinite().all() for g in gradients)
    assert gradients[0].abs().sum() > 0 and gradients[1].abs().sum() > 0


def test_parameters_learn_again_after_an_error():
    student, teacher = maps(1, 3, 4, 4)
    loss = HolisticKDLoss()
    loss.critic = FirstMean(3)
    loss.critic.fixed = nn.Parameter(torch.zeros(1), requires_grad=False)

    def fail(x):
        assert not loss.critic.gain.requires_grad
        raise RuntimeError('no')

    loss.critic.forward = fail
    with pytest.raises(RuntimeError, match='no'):
        loss(student, teacher)
    assert loss.critic.gain.requires_grad and not loss.critic.fixed.requires_grad


@pytest.mark.parametrize('cls', BOTH)
def test_the_two_learn_against_each_other(cls):
    """The critic learns to tell a sharp teacher from a flat student; the student then learns to be taken for it."""
    student, teacher = (x.float() for x in maps(2, 3, 16, 16))
    student, teacher = (0.1 * student).requires_grad_(), 6 * teacher
    loss = ready(cls, student, teacher)
    optimizer = torch.optim.Adam(loss.critic.parameters(), lr=1e-3)
    first = loss.critic_loss(student, teacher).item()
    for _ in range(12):
        optimizer.zero_grad()
        loss.critic_loss(student, teacher).backward()
        optimizer.step()
    assert loss.critic_loss(student, teacher).item() < first
    before = loss(student, teacher)
    (step,) = torch.autograd.grad(before, student)
    assert loss(student - 5 * step / step.norm(), teacher) < before


def test_the_image_is_seen():
    student, teacher = conditional()
    loss = ready(HolisticKDLoss, student, teacher).eval()
    assert loss.critic.in_channels == 6
    other = student[0], torch.randn_like(student[1])
    assert loss(student, teacher) != loss(other, teacher)
    seen = loss._seen(teacher, student)
    image = torch.nn.functional.interpolate(student[1], size=(8, 9), mode='bilinear')
    torch.testing.assert_close(seen, torch.cat([image, teacher.softmax(1)], dim=1))


def test_logits_alone_make_a_critic_of_logits():
    (student, _), teacher = conditional()
    assert ready(HolisticKDLoss, student, teacher).critic.in_channels == 3


def test_setup_reads_shapes_only():
    loss = HolisticKDLoss()
    loss.setup(
        (torch.empty(1, 19, 8, 8, device='meta'), torch.empty(1, 3, 64, 64, device='meta')),
        torch.empty(1, 19, 8, 8, device='meta'),
    )
    assert loss.critic.in_channels == 22
    assert {p.device.type for p in loss.critic.parameters()} == {'cpu'}


@pytest.mark.parametrize('cls', BOTH)
def test_autocast_does_not_reach_the_critic(cls):
    student, teacher = conditional()
    loss = ready(cls, student, teacher).eval()
    values = []
    for enabled in (False, True):
        torch.manual_seed(2)
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            values.append(loss.critic_loss(student, teacher))
    assert values[1].dtype == torch.float32
    torch.testing.assert_close(values[0], values[1])
    half = (student[0].detach().bfloat16(), student[1]), teacher.detach().bfloat16()
    torch.testing.assert_close(loss.critic_loss(*half), values[0], rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize('call', ['__call__', 'critic_loss'])
def test_it_must_be_set_up(call):
    with pytest.raises(ValueError, match='has no discriminator yet: call setup'):
        getattr(HolisticKDLoss(), call)(*maps(1, 3, 4, 4))


@pytest.mark.parametrize('call', ['__call__', 'critic_loss'])
def test_inputs_must_be_those_of_the_setup(call):
    student, teacher = conditional()
    loss = ready(HolisticKDLoss, student, teacher)
    with pytest.raises(ValueError, match='set up for 6 channels'):
        getattr(loss, call)(student[0], teacher)
    with pytest.raises(ValueError, match='set up for 6 channels'):
        getattr(loss, call)((student[0], student[1][:1]), teacher)
    with pytest.raises(ValueError, match='equal shapes'):
        getattr(loss, call)(student, teacher[..., 1:])
    with pytest.raises(ValueError, match=r'takes logits, or \(logits, images\)'):
        getattr(loss, call)((*student, student[1]), teacher)


def test_penalty_must_not_be_negative():
    with pytest.raises(ValueError, match='penalty must be >= 0'):
        HolisticKDLoss(-1.0)


@pytest.mark.parametrize('in_channels, count', [(22, 3194755), (19, 3191683), (150, 3325827)])
def test_parameters_of_the_critic(in_channels, count):
    assert sum(p.numel() for p in HolisticCritic(in_channels).parameters()) == count


@pytest.mark.parametrize(
    'size, shape',
    [
        ((65, 65), (1, 1)),
        ((64, 64), (1, 1)),
        ((64, 128), (1, 5)),
        ((128, 128), (5, 5)),
        ((60, 60), (1, 1)),
        ((33, 130), (1, 5)),
        ((1, 1), (1, 1)),
    ],
)
def test_size_of_the_scores(size, shape):
    assert HolisticCritic(2)(torch.randn(1, 2, *size)).shape == (1, 1, *shape)


def test_small_maps_are_resized():
    critic, x = HolisticCritic(2).eval(), torch.randn(1, 2, 40, 70)
    wide = nn.functional.interpolate(x, size=(64, 70), mode='bilinear', align_corners=False)
    torch.testing.assert_close(critic(x), critic(wide), rtol=0, atol=0)


def test_critic_without_gain_is_a_plain_convolutional_network():
    critic, x = HolisticCritic(4).eval(), torch.randn(2, 4, 64, 70)
    y = x
    for i in (0, 1, 2, 4):
        conv = critic.layers[i][0]
        y = nn.functional.leaky_relu(nn.functional.conv2d(y, conv.weight, conv.bias, stride=2, padding=1), 0.1)
    torch.testing.assert_close(critic(x), critic.layers[6](y))


def test_attention_equals_the_formula():
    attention = HolisticCritic(1).double().layers[3]
    with torch.no_grad():
        attention.gamma.fill_(0.7)
    x = torch.randn(1, 256, 2, 3, dtype=torch.float64)

    def project(layer):
        weight, bias = layer.weight.detach().numpy()[:, :, 0, 0], layer.bias.detach().numpy()
        return weight @ x.numpy().reshape(256, 6) + bias[:, None]

    q, k, v = map(project, (attention.query, attention.key, attention.value))
    assert q.shape == (32, 6)
    out = np.zeros((256, 6))
    for i in range(6):
        share = np.exp([q[:, i] @ k[:, j] for j in range(6)])
        out[:, i] = sum(share[j] / share.sum() * v[:, j] for j in range(6))
    np.testing.assert_allclose(attention(x).detach().numpy().reshape(256, 6), x.numpy().reshape(256, 6) + 0.7 * out)


def test_spectral_norms_tend_to_one():
    critic = HolisticCritic(3)
    for _ in range(30):
        critic(torch.randn(1, 3, 64, 64))
    for i in (0, 1, 2, 4):
        largest = torch.linalg.svdvals(critic.layers[i][0].weight.flatten(1))[0].item()
        assert largest == pytest.approx(1, abs=0.02)


def test_the_critic_stands_still_in_eval_mode():
    critic, x = HolisticCritic(3), torch.randn(2, 3, 64, 64)
    assert not torch.equal(critic(x), critic(x))
    critic.eval()
    assert torch.equal(critic(x), critic(x))
