import pytest
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook

from mmseg_kd.engine.safe_saves import save_now
from mmseg_kd.testing.toys import ToyDataset, toy_runner, toy_segmentor


class Nothing(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(mIoU=0.0)


class Note(Hook):
    """The iterations after which there was a validation."""

    def __init__(self):
        self.validated = []

    def before_val(self, runner):
        self.validated.append(runner.iter)


def train(work_dir, until, interval=2, begin=1, resume=True, saved=1, hooks=()):
    note = Note()
    toy_runner(
        toy_segmentor(4, auxiliary=False),
        work_dir,
        train_cfg=dict(by_epoch=False, max_iters=until, val_interval=interval, val_begin=begin),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=saved, by_epoch=False)),
        val_dataloader=dict(
            dataset=ToyDataset(1), batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False)
        ),
        val_cfg=dict(),
        val_evaluator=[Nothing()],
        custom_hooks=[note, *hooks],
        resume=resume,
    ).train()
    return note.validated


def test_a_fresh_run_begins_without_validation(tmp_path):
    assert train(tmp_path, until=3) == [2, 3]


@pytest.mark.parametrize(
    'changes,expected',
    [(dict(interval=1), [3, 4]), (dict(interval=3), [3, 4]), (dict(interval=4), [4]), (dict(interval=3, begin=4), [4])],
)
def test_only_the_validation_that_is_due_is_made_up_for(tmp_path, changes, expected):
    """The first run does not validate; the last checkpoint is of the third iteration."""
    train(tmp_path, until=3, interval=100, begin=100)
    assert train(tmp_path, until=4, **changes) == expected


class Stop(Hook):
    """Does in a validation what a scheduler's signal does."""

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        save_now(runner, runner.iter, validating=True)
        raise KeyboardInterrupt


def test_a_validation_that_a_signal_interrupted_is_repeated(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, until=3, saved=100, hooks=[Stop()])
    assert train(tmp_path, until=3, saved=100) == [2, 3]
