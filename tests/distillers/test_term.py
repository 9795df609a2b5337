import pytest
import torch

from mmseg_kd.distillers import Term

PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))


def shapes(channels, size, path='logits'):
    return {path: torch.empty(1, channels, *size, device='meta')}


def test_the_teacher_is_resized_to_the_student_bilinearly():
    term = Term('loss_pi', **PI)
    term.fit(shapes(3, (4, 4)), shapes(3, (8, 8)), classes=3)
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 8, 8)
    resized = torch.nn.functional.interpolate(teacher, size=(4, 4), mode='bilinear', align_corners=False)
    value = term(dict(logits=student), dict(logits=teacher), None)['loss_pi']
    assert torch.equal(value, term.loss(student, resized))


@pytest.mark.parametrize('path', ['logits', 'f'])
def test_logits_are_compared_in_the_classes_that_the_teacher_knows(path):
    term = Term('loss_hint', path, 'logits', dict(type='HintLoss'))
    term.fit(shapes(3, (4, 4), path), shapes(3, (4, 4)), classes=3, known=dict(logits=[0, 2]))
    student, teacher = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)
    value = term({path: student}, dict(logits=teacher), None)['loss_hint']
    chosen = [0, 2] if path == 'logits' else [0, 1, 2]
    assert torch.equal(value, term.loss(student[:, chosen], teacher[:, chosen]))


def test_an_adapter_of_the_users_choice_replaces_the_default():
    term = Term('loss_hint', 'f', 'f', dict(type='HintLoss'), adapter=dict(type='ConvBNAdapter'))
    term.fit(shapes(3, (4, 4), 'f'), shapes(5, (4, 4), 'f'), classes=3)
    assert type(term.adapters[0]).__name__ == 'ConvBNAdapter'
    value = term(dict(f=torch.randn(2, 3, 4, 4)), dict(f=torch.randn(2, 5, 4, 4)), None)['loss_hint']
    value.backward()
    assert all(p.grad is not None for p in term.parameters())


def test_no_adapter_and_no_common_shape_is_an_error_that_names_the_term():
    term = Term('loss_hint', 'f', 'f', dict(type='HintLoss'), adapter=dict(type='NoAdapter'))
    with pytest.raises(ValueError, match='model.terms.loss_hint: no common shape of student'):
        term.fit(shapes(3, (4, 4), 'f'), shapes(5, (4, 4), 'f'), classes=3)


def test_losses_that_need_no_equal_channels_get_no_adapter():
    term = Term('loss_at', 'f', 'f', dict(type='AttentionTransferLoss'))
    term.fit(shapes(3, (4, 4), 'f'), shapes(5, (4, 4), 'f'), classes=3)
    assert not list(term.parameters())


def test_a_schedule_must_be_moved():
    term = Term('loss_pi', **PI, weight=dict(type='WarmupWeight', weight=1.0, iters=10))
    with pytest.raises(ValueError, match="is a schedule, but nothing updates it; add dict.type='TermWeightHook'."):
        term.active
    term.weight = term.schedule(5)
    assert term.active and term.weight == 0.5


def test_parameters_can_be_compared():
    term = Term('loss_w', 'w', 'w', dict(type='HintLoss'))
    term.fit(dict(w=torch.empty(4, 8, 1, 1, device='meta')), dict(w=torch.empty(4, 8, 1, 1, device='meta')), classes=3)
    value = term(dict(w=torch.ones(4, 8, 1, 1)), dict(w=torch.zeros(4, 8, 1, 1)), None)['loss_w']
    assert value == 1


def test_a_critic_that_comes_first_learns_before_the_term_begins_and_rests_from_then_on():
    weight = dict(type='DelayedWeight', weight=2.0, begin=5)
    term = Term('loss_pos', 'f', 'f', dict(type='IDDPositionLoss'), weight=weight)
    term.fit(shapes(3, (5, 5), 'f'), shapes(3, (5, 5), 'f'), classes=3)
    term.loss.critic.to_empty(device='cpu')
    torch.nn.init.normal_(term.loss.critic.weight)
    maps = [dict(f=torch.randn(2, 3, 5, 5, requires_grad=True)) for _ in range(2)]
    for iteration, learns in [(4, True), (5, False)]:
        term.weight = term.schedule(iteration)
        assert term.critic_learns == learns and term.reads_teacher
        losses = term(*maps, None)
        assert set(losses) == {'loss_pos', *(['loss_pos_critic'] if learns else [])}
        assert (losses['loss_pos'].item() == 0) == learns
        sum(losses.values()).backward()
        assert (maps[0]['f'].grad.abs().sum() == 0) == learns
        # DDP waits for a gradient of every parameter.
        assert (term.loss.critic.weight.grad.abs().sum() > 0) == learns
        term.zero_grad(set_to_none=True)


def test_a_critic_that_comes_first_needs_a_beginning_of_the_term():
    with pytest.raises(ValueError, match=r"weight must be a schedule that begins .* take dict\(type='DelayedWeight'"):
        Term('loss_pos', 'f', 'f', dict(type='IDDPositionLoss'), weight=0.5)


def test_the_loss_is_told_the_classes():
    term = Term('loss_ifv', 'f', 'f', dict(type='IFVDLoss'))
    term.fit(shapes(3, (4, 4), 'f'), shapes(5, (4, 4), 'f'), classes=7)
    assert term.loss.classes == 7


def test_terms_of_a_step_share_one_resized_map(monkeypatch):
    sizes = []

    def align(teacher, student):
        sizes.append(tuple(student.shape[2:]))
        return torch.nn.functional.interpolate(teacher, size=student.shape[2:])

    terms = [Term('loss_pi', **PI), Term('loss_cwd', 'logits', 'logits', dict(type='CWDLoss'))]
    for term in terms:
        term.fit(shapes(3, (4, 4)), shapes(3, (8, 8)), classes=3)
    monkeypatch.setattr('mmseg_kd.distillers.term.align', align)
    student, teacher = dict(logits=torch.randn(2, 3, 4, 4)), dict(logits=torch.randn(2, 3, 8, 8))
    for term in terms:
        term(student, teacher, None)
        term.denominator(student, teacher, None)
    assert sizes == [(4, 4)]
    # Other images, or another size, are resized again.
    terms[0](student, dict(teacher, logits=torch.randn(2, 3, 8, 8)), None)
    terms[0](dict(logits=torch.randn(2, 3, 2, 2)), teacher, None)
    assert sizes == [(4, 4), (4, 4), (2, 2)]
