import math

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_kd.doctor.loss_parts import Part, gradient_shares, labeled_part, loss_table, read_parts
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

TERM = dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0)


def test_losses_and_gradients_agree_with_autograd():
    torch.manual_seed(0)
    student = toy_segmentor(4, auxiliary=False)
    student.decode_head.dropout_ratio = 0.0
    teacher = dict(model=toy_segmentor(4, auxiliary=False))
    model = MODELS.build(dict(type='Distiller', student=student, teacher=teacher, terms=dict(loss_cwd=TERM)))
    batch = toy_batch()
    parts = read_parts(model, batch)
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    for name in ('decode.loss_ce', 'loss_cwd'):
        gradients = torch.autograd.grad(
            losses[name], list(model.student.parameters()), retain_graph=True, allow_unused=True
        )
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients if g is not None))
        assert parts[name].value == pytest.approx(losses[name].item(), rel=1e-5)
        assert parts[name].gradient == pytest.approx(norm, rel=1e-4) and parts[name].connected
    assert all(p.grad is None for p in model.parameters())
    own, term = parts['decode.loss_ce'], parts['loss_cwd']
    row = [cell.strip() for cell in loss_table(list(parts.values()), model).splitlines()[-1].split('|')[1:-1]]
    assert row == [
        'loss_cwd',
        '3',
        f'{term.value:.4g}',
        f'{100 * term.value / (term.value + own.value):.1f} %',
        f'{term.gradient:.3g}',
        f'{100 * term.gradient / (own.gradient + term.gradient):.1f} %',
        f'{3 * (0.3 / 0.7 * own.gradient) / term.gradient:.3g}',
    ]


def test_a_critic_that_has_learned_nothing_gives_no_weight():
    holistic = dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'))
    network = toy_segmentor(4, auxiliary=False)
    terms = dict(loss_cwd=TERM, loss_ho=holistic)
    model = MODELS.build(dict(type='Distiller', student=network, teacher=dict(model=network), terms=terms))
    table = loss_table(list(read_parts(model, toy_batch()).values()), model)
    weights = {cells[1].strip(): cells[7].strip() for cells in (line.split('|') for line in table.splitlines()[2:])}
    assert float(weights['loss_cwd']) > 0 and weights['loss_ho'] == '-'


def test_shares_of_the_gradient_leave_out_what_is_not_finite():
    parts = [Part('a', 1.0, 3.0, True), Part('b', 1.0, 1.0, True), Part('c', 1.0, math.inf, True)]
    shares = gradient_shares(parts)
    assert (shares['a'], shares['b'], shares['c']) == (0.75, 0.25, math.inf)
    assert gradient_shares([Part('a', 1.0, 0.0, False)]) == dict(a=0.0)


def test_a_loss_without_the_student_has_no_shares():
    table = loss_table([Part('a', 2.0, 3.0, True), Part('b', 5.0, 0.0, False)], torch.nn.Linear(1, 1))
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()[2:]]
    assert rows == [['a', '', '2', '100.0 %', '3', '100.0 %', ''], ['b', '', '5', '-', '-', '-', '']]


def test_losses_of_the_student_count_together_as_a_share_of_the_gradient_does():
    settings = dict(type='Distiller', student=toy_segmentor(4), teacher=dict(model=toy_segmentor(4)))
    shares, chosen = [], []
    for weight in (3.0, dict(type='GradientShare', share=0.3)):
        torch.manual_seed(0)
        model = MODELS.build(dict(settings, terms=dict(loss_cwd=dict(TERM, weight=weight))))
        model.teachers[''].module
        model.terms['loss_cwd'].level = weight if weight == 3.0 else 0.3
        torch.manual_seed(0)
        parts = list(read_parts(model, toy_batch()).values())
        rows = {line.split('|')[1].strip(): line.split('|')[2:-1] for line in loss_table(parts, model).splitlines()[2:]}
        shares.append(gradient_shares(parts)['loss_cwd'])
        chosen.append(float(rows['loss_cwd'][-1 if weight == 3.0 else 0]))
    # The doctor's weight for a share of 30 % is the one that GradientShare chooses.
    assert shares[1] == pytest.approx(0.3, rel=1e-3) and shares[0] != pytest.approx(0.3, rel=0.1)
    assert chosen[0] == pytest.approx(chosen[1], rel=0.01)
    together, decode, aux = (rows[name] for name in ("student's losses together", 'decode.loss_ce', 'aux.loss_ce'))
    assert float(together[1]) == pytest.approx(float(decode[1]) + float(aux[1]), rel=1e-3)
    assert decode[4].strip() == aux[4].strip() == '' and together[4].strip() == '70.0 %'


def test_the_labeled_branch_is_taken_from_every_part_of_a_batch():
    assert labeled_part(dict(inputs=dict(labeled=1, unlabeled=2), data_samples=3)) == dict(inputs=1, data_samples=3)
