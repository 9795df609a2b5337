from mmseg_kd.testing.toys import toy_runner, toy_segmentor


def test_other_segmentors_are_left_alone_and_a_run_without_checkpoint_only_warns(tmp_path):
    hooks = dict(custom_hooks=[dict(type='ExportStudentHook', folder='small')])
    toy_runner(toy_segmentor(4), tmp_path / 'a', max_iters=1, **hooks).train()
    model = dict(
        type='Distiller',
        student=toy_segmentor(4),
        teacher=dict(model=toy_segmentor(8)),
        terms=dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))),
    )
    toy_runner(model, tmp_path / 'b', max_iters=1, default_hooks=dict(checkpoint=None), **hooks).train()
    toy_runner(model, tmp_path / 'c', max_iters=1, **hooks).train()
    assert [(tmp_path / name / 'small').exists() for name in 'abc'] == [False, False, True]
    assert 'no student is exported' in next((tmp_path / 'b').rglob('*.log')).read_text()
