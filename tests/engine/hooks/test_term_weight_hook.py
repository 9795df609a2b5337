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


def test_other_segmentors_are_left_alone(tmp_path):
    toy_runner(toy_segmentor(4), tmp_path, max_iters=1, custom_hooks=[dict(type='TermWeightHook')]).train()
    assert (tmp_path / 'iter_1.pth').exists()
