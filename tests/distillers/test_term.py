import pytest
import torch

from mmseg_kd.distillers import Term

PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))


def shapes(channels, size, path='logits'):
    return {path: torch.empty(1, channels, *size, device='meta')}


def test_the_teacher_is_resized_to_the_student_bilinearly():
    term = Term('loss_pi', **PI)
    term.fit(shapes(3, (4, 4)), shapes(3, (8, 8)))
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 8, 8)
    resized = torch.nn.functional.interpolate(teacher, size=(4, 4), mode='bilinear', align_corners=False)
    value = term(dict(logits=student), dict(logits=teacher), None)['loss_pi']
    assert torch.equal(value, term.loss(student, resized))


def test_an_adapter_of_the_users_choice_replaces_the_default():
    term = Term('loss_hint', 'f', 'f', dict(type='HintLoss'), adapter=dict(type='ConvBNAdapter'))
    term.fit(shapes(3, (4, 4), 'f'), shapes(5, (4, 4), 'f'))
    assert type(term.adapters[0]).__name__ == 'ConvBNAdapter'
    value = term(dict(f=torch.randn(2, 3, 4, 4)), dict(f=torch.randn(2, 5, 4, 4)), None)['loss_hint']
    value.backward()
    assert all(p.grad is not None for p in term.parameters())


def test_no_adapter_and_no_common_shape_is_an_error_that_names_the_term():
    term = Term('loss_hint', 'f', 'f', dict(type='HintLoss'), adapter=dict(type='NoAdapter'))
    with pytest.raises(ValueError, match='model.terms.loss_hint: no common shape of student'):
        term.fit(shapes(3, (4, 4), 'f'), shapes(5, (4, 4), 'f'))


def test_losses_that_need_no_equal_channels_get_no_adapter():
    term = Term('loss_at', 'f', 'f', dict(type='AttentionTransferLoss'))
    term.fit(shapes(3, (4, 4), 'f'), shapes(5, (4, 4), 'f'))
    assert not list(term.parameters())


def test_a_schedule_must_be_moved():
    term = Term('loss_pi', **PI, weight=dict(type='WarmupWeight', weight=1.0, iters=10))
    with pytest.raises(ValueError, match="is a schedule, but nothing moves it; add dict.type='TermWeightHook'."):
        term.active
    term.weight = term.schedule(5)
    assert term.active and term.weight == 0.5


def test_parameters_can_be_compared():
    term = Term('loss_w', 'w', 'w', dict(type='HintLoss'))
    term.fit(dict(w=torch.empty(4, 8, 1, 1, device='meta')), dict(w=torch.empty(4, 8, 1, 1, device='meta')))
    value = term(dict(w=torch.ones(4, 8, 1, 1)), dict(w=torch.zeros(4, 8, 1, 1)), None)['loss_w']
    assert value == 1
