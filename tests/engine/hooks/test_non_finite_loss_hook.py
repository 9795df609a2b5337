from types import SimpleNamespace

import pytest
import torch

from mmseg_kd.engine import NonFiniteLossHook
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


def test_the_losses_are_named_and_no_checkpoint_is_written(tmp_path):
    pi = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
    model = dict(
        type='Distiller', student=toy_segmentor(4), teacher=dict(model=toy_segmentor(8)), terms=dict(loss_pi=pi)
    )
    runner = toy_runner(model, tmp_path, max_iters=1, custom_hooks=[dict(type='NonFiniteLossHook')])
    runner.model.terms['loss_pi'].weight = float('nan')
    with pytest.raises(FloatingPointError, match='iteration 1: losses must be finite, but loss_pi = nan; lower'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('iteration, checked', [(0, True), (1, False), (9, True), (10, False)])
def test_checks_the_first_iteration_and_every_interval(iteration, checked):
    hook = NonFiniteLossHook(interval=10)
    runner, outputs = SimpleNamespace(iter=iteration), dict(loss=torch.tensor(float('inf')), acc=float('nan'))
    if checked:
        with pytest.raises(
            FloatingPointError, match=f'iteration {iteration + 1}: losses must be finite, but loss = inf'
        ):
            hook.after_train_iter(runner, iteration, outputs=outputs)
    else:
        hook.after_train_iter(runner, iteration, outputs=outputs)
        with pytest.raises(FloatingPointError):
            hook.before_save_checkpoint(runner, {})


def test_an_interval_below_one_is_refused():
    with pytest.raises(ValueError, match='interval must be >= 1, but is 0'):
        NonFiniteLossHook(interval=0)
