import numpy as np
import pytest
import torch
from reference import assert_gradient, maps

from mmseg_kd.losses import KATranslatorLoss


def built(student, teacher, **arguments):
    torch.manual_seed(0)
    loss = KATranslatorLoss(**arguments)
    loss.setup(student, teacher)
    return loss.double()


def units(x):
    """Features of pixels (N, P, C), of length one where they are not zero."""
    x = x.detach().numpy().reshape(*x.shape[:2], -1).transpose(0, 2, 1)
    return x / np.maximum(np.linalg.norm(x, axis=2, keepdims=True), 1e-300)


@pytest.mark.parametrize('shape,channels', [((2, 3, 5, 7), 8), ((1, 4, 3, 3), 4), ((1, 5, 1, 2), 2)])
def test_equals_the_formulas(shape, channels):
    student, teacher = maps(*shape, channels=channels)
    loss = built(student, teacher, adaptation=3.0, affinity=0.5, sparsity=0.25).eval()
    code = units(loss.critic.encoder(teacher))
    first, second = (units(adapter(student)) for adapter in loss.adapters)
    adaptation = np.abs(first - code).sum(2).mean()
    distances = [np.linalg.norm(s @ s.T - t @ t.T) for s, t in zip(second, code)]
    expected = 3 * adaptation + 0.5 * np.mean(distances) / (shape[2] * shape[3])
    np.testing.assert_allclose(loss(student, teacher).item(), expected, rtol=1e-9)

    code = loss.critic.encoder(teacher).detach().numpy()
    rebuilt = loss.critic.decoder(torch.from_numpy(code)).detach().numpy()
    expected = ((rebuilt - teacher.numpy()) ** 2).mean() + 0.25 * np.abs(code).mean()
    np.testing.assert_allclose(loss.critic_loss(student, teacher).item(), expected, rtol=1e-9)


def test_gradient():
    student, teacher = maps(2, 3, 3, 4, channels=6)
    assert_gradient(built(student, teacher).eval(), student, teacher)


def test_the_code_has_the_students_channels_and_the_teachers_come_back():
    student, teacher = maps(2, 8, 5, 7, channels=64)
    loss = built(student, teacher)
    code = loss.critic.encoder(teacher)
    assert code.shape == (2, 8, 5, 7) and loss.critic.decoder(code).shape == teacher.shape
    assert [block[0].out_channels for block in loss.critic.encoder] == [32, 16, 8]
    assert [block[0].out_channels for block in loss.critic.decoder[:-1]] == [16, 32]


def test_the_loss_moves_student_and_adapters_and_the_critic_only_itself():
    student, teacher = maps(2, 5, 6, 7, channels=12)
    loss = built(student, teacher)
    before = {k: v.clone() for k, v in loss.critic.state_dict().items()}
    student.requires_grad_()
    loss(student, teacher).backward()
    assert student.grad.abs().sum() > 0 and all(p.grad.abs().sum() > 0 for p in loss.adapters.parameters())
    assert all(p.grad is None for p in loss.critic.parameters())
    assert all(torch.equal(v, before[k]) for k, v in loss.critic.state_dict().items()), 'BatchNorm included'
    loss.zero_grad()
    student.grad = None
    loss.critic_loss(student, teacher.requires_grad_()).backward()
    assert student.grad is None and teacher.grad is None and all(p.grad is None for p in loss.adapters.parameters())
    assert all(p.grad is not None for p in loss.critic.parameters())
    assert not torch.equal(loss.critic.encoder[0][1].running_mean, before['encoder.0.1.running_mean'])


def test_the_auto_encoder_learns_to_rebuild():
    torch.manual_seed(0)
    teacher = torch.einsum('dc,nchw->ndhw', torch.randn(12, 3), torch.randn(4, 3, 8, 8))
    loss = built(teacher[:, :3], teacher).float()
    first = loss.critic_loss(teacher[:, :3], teacher).item()
    optimizer = torch.optim.Adam(loss.critic.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        value = loss.critic_loss(teacher[:, :3], teacher)
        value.backward()
        optimizer.step()
    assert value.item() < first / 2


def test_bad_weights_and_other_channels_are_refused():
    with pytest.raises(ValueError, match='adaptation, affinity and sparsity must be >= 0'):
        KATranslatorLoss(sparsity=-1)
    loss = built(*maps(1, 3, 5, 5, channels=6))
    with pytest.raises(ValueError, match=r'set up for \(3, 6\) channels, but got \(3, 5\); call setup'):
        loss(*maps(1, 3, 5, 5, channels=5))
    with pytest.raises(ValueError, match=r'set up for None channels, but got \(3, 5\)'):
        KATranslatorLoss()(*maps(1, 3, 5, 5, channels=5))
