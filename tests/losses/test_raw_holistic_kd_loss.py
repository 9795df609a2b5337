import pytest
import torch
from reference import maps
from torch import nn

from mmseg_kd.losses import HolisticKDLoss, RawHolisticKDLoss
from mmseg_kd.losses.critic import BatchNormCritic


class Normalized(nn.Module):
    """A critic that can be followed by hand: ``gain`` times the first channel, in which the batch has mean 0, std 1."""

    def __init__(self, in_channels, gain=1.0):
        super().__init__()
        self.in_channels = in_channels
        self.gain = nn.Parameter(torch.tensor(gain, dtype=torch.float64))

    def forward(self, x):
        x = x[:, :1]
        return self.gain * ((x - x.mean()) / x.std(correction=0)).exp()


class FirstLogit(Normalized):
    def forward(self, x):
        return self.gain * x[:, :1]


def ready(student, teacher):
    torch.manual_seed(0)
    loss = RawHolisticKDLoss()
    loss.setup(student, teacher)
    return loss


def test_objectives_by_hand():
    """The slope of the sum of h x w values is the gain at each of them: its length is gain * sqrt(h w)."""
    student, teacher = maps(2, 3, 4, 5)
    loss = RawHolisticKDLoss(penalty=7.0)
    loss.critic = FirstLogit(3, gain=0.3)
    torch.testing.assert_close(loss(student, teacher), -0.3 * student[:, 0].mean())
    margin = 0.3 * (student[:, 0].mean() - teacher[:, 0].mean())
    expected = 0.1 * (margin + 7 * (0.3 * 20**0.5 - 1) ** 2)
    torch.testing.assert_close(loss.critic_loss(student, teacher), expected)
    whole = RawHolisticKDLoss(penalty=7.0, critic_scale=1.0)
    whole.critic = loss.critic
    torch.testing.assert_close(whole.critic_loss(student, teacher), 10 * expected)


def test_student_and_teacher_are_normalised_apart():
    student, teacher = maps(2, 3, 4, 5)
    loss = RawHolisticKDLoss(penalty=0.0, critic_scale=1.0)
    loss.critic = Normalized(3)
    scores = [((x[:, 0] - x[:, 0].mean()) / x[:, 0].std(correction=0)).exp().mean() for x in (student, teacher)]
    torch.testing.assert_close(loss.critic_loss(student, 5 * teacher + 3), scores[0] - scores[1])


def test_the_critic_is_that_of_the_published_code():
    """A batch normalization with gain and shift, 38 parameters for 19 classes, and then the layers of the other one."""
    critic = BatchNormCritic(19)
    assert sum(p.numel() for p in critic.parameters()) == 3191721
    x = torch.randn(2, 19, 64, 64)
    scores = critic(x)
    assert scores.shape == (2, 1, 1, 1)
    plain = BatchNormCritic(19)
    plain.load_state_dict(critic.state_dict())
    critic.eval(), plain.eval()
    normalized = nn.functional.batch_norm(x, critic.norm.running_mean, critic.norm.running_var)
    torch.testing.assert_close(critic(x), super(BatchNormCritic, plain).forward(normalized))


def test_the_critic_does_not_see_the_scale_of_the_logits():
    critic, x = BatchNormCritic(3), torch.randn(2, 3, 64, 64)
    critic.layers.eval()  # the power iteration rests
    torch.testing.assert_close(critic(7 * x + 2), critic(x), rtol=1e-3, atol=1e-4)


def test_a_confident_student_still_gets_a_gradient():
    """A softmax of logits with gaps of 20 has none to speak of, whatever the critic says."""
    student, teacher = (x.float() for x in maps(2, 3, 64, 64))
    student = (20 * torch.nn.functional.one_hot(student.argmax(1), 3).permute(0, 3, 1, 2).float()).requires_grad_()
    raw = ready(student, teacher)
    torch.manual_seed(0)
    soft = HolisticKDLoss()
    soft.setup(student, teacher)
    lengths = [torch.autograd.grad(loss(student, teacher), student)[0].norm() for loss in (raw, soft)]
    assert lengths[0] > 10 * lengths[1]


def test_one_backward_serves_both():
    student, teacher = (x.float().requires_grad_() for x in maps(2, 3, 8, 9))
    loss = ready(student, teacher).train()
    (loss(student, teacher) + loss.critic_loss(student, teacher)).backward()
    gradients = [student.grad] + [p.grad for p in loss.critic.parameters()]
    assert all(g.isfinite().all() for g in gradients) and teacher.grad is None
    assert student.grad.abs().sum() > 0 and loss.critic.norm.weight.grad.abs().sum() > 0


def test_images_are_refused():
    student, teacher = maps(2, 3, 8, 8)
    loss = ready(student, teacher)
    with pytest.raises(ValueError, match="and no images; give the term the paths student='logits'"):
        loss((student, torch.randn(2, 3, 64, 64)), teacher)


def test_the_scale_must_be_positive():
    with pytest.raises(ValueError, match='critic_scale must be > 0, but is 0'):
        RawHolisticKDLoss(critic_scale=0)
