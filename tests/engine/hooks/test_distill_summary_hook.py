import pytest

from mmseg_kd.distillers import CheckpointError
from mmseg_kd.testing.toys import toy_runner, toy_segmentor

HO = dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'))


def run(tmp_path, teacher=None, **terms):
    model = dict(
        type='Distiller', student=toy_segmentor(4), teacher=teacher or dict(model=toy_segmentor(8)), terms=terms
    )
    runner = toy_runner(model, tmp_path, max_iters=1, log_level='INFO', custom_hooks=[dict(type='DistillSummaryHook')])
    runner.train()


def test_networks_and_terms_are_in_the_log_before_the_first_iteration(tmp_path):
    run(tmp_path, loss_hint=dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss'), weight=0.25))
    log = next(tmp_path.rglob('*.log')).read_text()
    summary = log[log.index('Distillation') : log.index('Iter(train)')]
    assert 'student' in summary and 'teacher' in summary and 'MACs at 32x32' in summary
    line = next(line for line in summary.splitlines() if line.startswith('loss_hint'))
    assert line.split() == [
        'loss_hint',
        'HintLoss',
        'backbone[3]',
        '32x4x4',
        'backbone[3]',
        '64x4x4',
        '0.25',
        '2.05',
        'k',
    ]


def test_a_checkpoint_that_does_not_fit_ends_the_run_before_the_first_iteration(tmp_path):
    with pytest.raises(CheckpointError, match='model.teacher.checkpoint: no such checkpoint'):
        run(
            tmp_path,
            dict(model=toy_segmentor(8), checkpoint='nowhere.pth'),
            loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss')),
        )
    assert 'Iter(train)' not in next(tmp_path.rglob('*.log')).read_text()


def test_a_critic_without_an_optimiser_of_its_own_is_refused(tmp_path):
    with pytest.raises(ValueError, match="set optim_wrapper.constructor='DistillOptimWrapperConstructor'"):
        run(tmp_path, loss_ho=HO)
