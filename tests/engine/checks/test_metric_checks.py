"""Metrics that hooks and schedules name."""

import pytest
from stock_trainings import POLY, found, refusal, warning


@pytest.mark.parametrize('kind', ['EarlyStoppingHook', 'ResumableEarlyStoppingHook'])
def test_early_stopping_without_validation_or_by_an_unknown_metric_is_refused(kind):
    hook = dict(type=kind, monitor='mIoU')
    assert found(hooks=[hook]) == ([], [])
    assert refusal(hooks=[dict(hook, monitor='mDice')]) == (
        "custom_hooks.0.monitor is 'mDice', but validation reports aAcc, mIoU, mAcc; name one of them, or change val_evaluator"
    )
    without = dict(best=None, val_dataloader=None, val_cfg=None, val_evaluator=None)
    assert "custom_hooks.0.monitor is 'mIoU', but nothing is validated" in refusal(hooks=[hook], **without)


def test_the_best_checkpoint_goes_by_metrics_that_there_are():
    assert "default_hooks.checkpoint.save_best is 'mDice', but validation reports aAcc, mIoU, mAcc" in refusal(
        best='mDice'
    )
    assert found(best=['mIoU', 'mAcc']) == ([], [])
    assert "save_best is 'mDice'" in refusal(best=['mIoU', 'mDice'])
    assert "save_best is 'mIoU', but validation reports a/aAcc" in refusal(metric=dict(type='IoUMetric', prefix='a'))
    assert 'takes the first metric of a validation, aAcc; name the metric' in warning(best='auto')
    assert 'reports no metric' in refusal(
        best='auto', metric=dict(type='IoUMetric', format_only=True, output_dir='out')
    )
    assert "custom_hooks.0.save_best is 'mDice'" in refusal(hooks=[dict(type='CheckpointHook', save_best='mDice')])


def test_a_plateau_goes_by_a_metric_that_there_is_and_needs_validation():
    plateau = dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater', by_epoch=True)
    assert found(scheduler=plateau) == ([], []) and found(scheduler=[POLY, plateau]) == ([], [])
    # The default of MMEngine is a loss, which validation does not give.
    assert "param_scheduler.monitor is 'loss'" in refusal(scheduler=dict(type='ReduceOnPlateauLR'))
    assert 'param_scheduler.1.by_epoch is False' in refusal(scheduler=[POLY, dict(plateau, by_epoch=False)])
