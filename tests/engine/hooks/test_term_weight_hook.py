import pytest

from mmseg_kd.testing.toys import toy_runner, toy_segmentor


def test_schedules_move_and_are_logged_and_numbers_stay(tmp_path):
    pi = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
    runner = toy_runner(
        dict(
            type='Distiller',
            student=toy_segmentor(4),
            teacher=dict(model=toy_segmentor(8)),
            terms=dict(
                loss_a=dict(pi, weight=dict(type='WarmupWeight', weight=2.0, iters=4)), loss_b=dict(pi, weight=0.5)
            ),
        ),
        tmp_path,
        custom_hooks=[dict(type='TermWeightHook')],
    )
    runner.train()
    logged = runner.message_hub.get_scalar('train/loss_a_weight').data[0]
    assert list(logged) == [0.0, 0.5, 1.0, 1.5]
    a, b = (runner.message_hub.get_scalar(f'train/loss_{name}').data[0] for name in 'ab')
    assert [round(x / y * 0.5, 4) for x, y in zip(a, b)] == [0.0, 0.5, 1.0, 1.5]


def test_shares_are_logged_when_they_are_measured_and_a_new_run_measures_its_own(tmp_path):
    hint = dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss'))
    terms = dict(loss_hint=dict(hint, weight=dict(type='GradientShare', share=0.3)), loss_b=dict(hint, weight=0.5))
    model = dict(type='Distiller', student=toy_segmentor(4), teacher=dict(model=toy_segmentor(8)), terms=terms)
    runner = toy_runner(model, tmp_path, custom_hooks=[dict(type='TermWeightHook')])
    runner.model.gradient_shares.own.update(1e9)  # as after load_from
    runner.train()
    logged = {tag: list(found.data[0]) for tag, found in runner.message_hub.log_scalars.items() if 'loss_' in tag}
    assert len(logged['train/loss_hint_share']) == len(logged['train/loss_b_share']) == 3  # in steps 1, 2 and 4
    assert logged['train/loss_hint_share'][0] == pytest.approx(0.3) and 'train/loss_b_weight' not in logged
    weights, values = logged['train/loss_hint_weight'], logged['train/loss_hint']
    assert len(weights) == 4 and min(weights) > 0 and weights[1] == weights[2] != weights[3]
    # Without its weight, the first hint is the second one.
    assert values[0] / weights[0] == pytest.approx(logged['train/loss_b'][0] / 0.5, rel=2)


def test_other_segmentors_are_left_alone(tmp_path):
    toy_runner(toy_segmentor(4), tmp_path, max_iters=1, custom_hooks=[dict(type='TermWeightHook')]).train()
    assert (tmp_path / 'iter_1.pth').exists()
