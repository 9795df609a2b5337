from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmseg.registry import METRICS

from mmseg_kd.engine.metric_names import metric_names


class AskingMetric(BaseMetric):
    """Judges what only its own networks give."""

    def process(self, data_batch, data_samples):
        self.results.append(data_samples[0]['of_its_own'])

    def compute_metrics(self, results):
        return dict(own=1.0)


class ClassMetric(BaseMetric):
    default_prefix = 'iou'

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict.fromkeys(self.dataset_meta['classes'], 1.0)


class AddingHook(Hook):
    def after_val_epoch(self, runner, metrics=None):
        metrics['more'] = 1.0


@pytest.fixture(autouse=True)
def metrics():
    kinds = [AskingMetric, ClassMetric]
    for kind in kinds:
        METRICS.register_module(module=kind)
    yield
    for kind in kinds:
        METRICS.module_dict.pop(kind.__name__)


def names(evaluator, **more):
    return metric_names(Config(dict(val_evaluator=evaluator, **more)))


def test_names_are_those_that_a_validation_logs():
    assert names(dict(type='IoUMetric', iou_metrics=['mIoU'])) == (['aAcc', 'mIoU', 'mAcc'], True, ())
    assert names(dict(type='IoUMetric', iou_metrics=['mFscore'])) == (
        ['aAcc', 'mFscore', 'mPrecision', 'mRecall'],
        True,
        (),
    )
    assert names(dict(type='IoUMetric', prefix='city'))[0] == ['city/aAcc', 'city/mIoU', 'city/mAcc']
    assert 'rmse' in names(dict(type='DepthMetric'))[0]
    assert names(None) == ([], True, ())


def test_several_metrics_give_the_names_of_all():
    both = [dict(type='IoUMetric', prefix='a'), dict(type='IoUMetric', iou_metrics=['mDice'], prefix='b')]
    expected = ['a/aAcc', 'a/mIoU', 'a/mAcc', 'b/aAcc', 'b/mDice', 'b/mAcc']
    assert names(both)[0] == names(dict(metrics=both))[0] == expected


def test_a_metric_that_only_formats_gives_none_and_writes_nothing(tmp_path):
    folder = tmp_path / 'out'
    assert names(dict(type='IoUMetric', format_only=True, output_dir=str(folder))) == ([], True, ())
    assert not Path(folder).exists()


def test_names_by_class_are_those_of_the_validation_set():
    loader = dict(dataset=dict(type='BaseSegDataset', metainfo=dict(classes=('road', 'sky'))))
    assert names(dict(type='ClassMetric'), val_dataloader=loader) == (['iou/road', 'iou/sky'], True, ())


def test_what_a_metric_does_not_tell_beforehand_is_not_known():
    assert names([dict(type='AskingMetric'), dict(type='IoUMetric')]) == (['aAcc', 'mIoU', 'mAcc'], False, ())


def test_hooks_add_names():
    hooks = dict(custom_hooks=[dict(type='ValidationLossHook'), dict(type='StepSeedHook')])
    found = names(dict(type='IoUMetric'), **hooks)
    assert found.complete and all(map(found.may_hold, ['val_loss', 'val_loss_ce', 'mIoU']))
    assert not found.may_hold('loss') and not names(dict(type='IoUMetric')).may_hold('val_loss')
    assert not names(dict(type='IoUMetric'), custom_hooks=[dict(type=AddingHook)]).complete


def test_a_metric_that_cannot_be_built_is_named():
    with pytest.raises(ValueError, match='val_evaluator cannot be built: .*NoSuchMetric'):
        names(dict(type='NoSuchMetric'))
