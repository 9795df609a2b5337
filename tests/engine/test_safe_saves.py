import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.fileio import LocalBackend, put_text
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.logging import MessageHub
from mmengine.runner import save_checkpoint

from mmseg_kd.engine.safe_saves import SaveError, save_now
from mmseg_kd.io.checkpoint import read_checkpoint
from mmseg_kd.io.runs import saved_checkpoints


class Kill(BaseException):
    """A SIGKILL: no clean-up of the process runs."""


class Training:
    """A training of checkpoints alone: every iteration is saved and validated, and every validation is the best."""

    def __init__(self, work_dir, by_epoch=False, **settings):
        self.hook = CheckpointHook(
            **{**dict(interval=1, by_epoch=by_epoch, max_keep_ckpts=1, save_best='mIoU'), **settings}
        )
        self.work_dir, self.iter, self.epoch, self.hooks = str(work_dir), 0, 0, [self.hook]
        self.message_hub = MessageHub('test')
        self.logger = SimpleNamespace(info=lambda text: None, warning=lambda text: None)

    def resume(self, path):
        checkpoint = read_checkpoint(str(path))
        self.iter = checkpoint['meta']['iter']
        self.message_hub.load_state_dict(checkpoint['message_hub'])
        return self

    def save_checkpoint(self, out_dir, filename, *args, meta, **kwargs):
        hub = self.message_hub.state_dict()
        save_checkpoint(dict(meta=meta, message_hub=hub, weight=torch.zeros(3)), os.path.join(out_dir, filename))

    def train(self, until):
        self.hook.before_train(self)
        while self.iter < until:
            self.hook._save_checkpoint_with_step(self, self.iter + 1, dict(epoch=0, iter=self.iter + 1))
            self.iter += 1
            self.hook.after_val_epoch(self, dict(mIoU=float(self.iter)))
        return self


@pytest.fixture
def kill_at(monkeypatch):
    """A function that kills a training when it touches the disk for the n-th time; False if it ends before."""

    def kill(number, training, until):
        count = iter(range(1000))

        def counted(function):
            def step(*args, **kwargs):
                if next(count) == number:
                    raise Kill
                return function(*args, **kwargs)

            return step

        with monkeypatch.context() as patch:
            patch.setattr(os, 'fsync', counted(os.fsync))
            patch.setattr(os, 'replace', counted(os.replace))
            patch.setattr(LocalBackend, 'remove', counted(LocalBackend.remove))
            patch.setattr(Path, 'unlink', lambda *args, **kwargs: None)  # a killed process leaves its temporary files
            try:
                training.train(until)
            except Kill:
                return True
        return False

    return kill


def test_a_training_that_is_killed_at_any_touch_of_the_disk_resumes_and_ends_as_undisturbed(tmp_path, kill_at):
    undisturbed = tmp_path / 'undisturbed'
    Training(undisturbed).train(3)
    expected = {'best_mIoU_iter_3.pth', 'iter_3.pth', 'last_checkpoint'}
    assert set(os.listdir(undisturbed)) == expected
    for number in range(1000):
        folder = tmp_path / str(number)
        Training(folder).train(1)
        training = Training(folder).resume(saved_checkpoints(folder)[0])
        if not kill_at(number, training, 3):
            break
        newest = saved_checkpoints(folder)[0]
        resumed = Training(folder).resume(newest)
        (folder / 'last_checkpoint').write_text(str(newest))  # as Runner.load_or_resume does
        assert resumed.iter >= 1
        # What the checkpoint calls the best one is there.
        best = resumed.message_hub.runtime_info.get('best_ckpt')
        assert best is None or read_checkpoint(best)['meta']['iter'] <= resumed.iter
        resumed.hook.before_train(resumed)
        # The interrupted validation runs after the resume, as ValidateOnResumeHook does.
        resumed.hook.after_val_epoch(resumed, dict(mIoU=float(resumed.iter)))
        resumed.train(3)
        left = {name for name in os.listdir(folder) if not name.startswith('.mmseg_kd.')}
        assert left >= expected and not any(name.startswith('iter_') for name in left - expected)
        assert Path(folder, 'last_checkpoint').read_text().endswith('iter_3.pth')
    assert number > 25


def test_on_a_full_disk_one_line_says_what_is_left(tmp_path, monkeypatch):
    training = Training(tmp_path).train(2)
    before = sorted(os.listdir(tmp_path))

    def full(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(SaveError) as caught:
        training.train(3)
    assert str(caught.value) == (
        f'iter_3.pth could not be saved in {tmp_path}: No space left on device. Free some space, or choose another '
        '--work-dir. iter_2.pth is intact: --resume continues from it'
    )
    assert sorted(os.listdir(tmp_path)) == before
    assert read_checkpoint(str(tmp_path / 'iter_2.pth'))['meta']['iter'] == 2


def test_files_that_are_no_files_are_written_as_before(tmp_path):
    put_text('gone', os.devnull)
    LocalBackend().put(b'gone', os.devnull)
    LocalBackend().put(b'here', str(tmp_path / 'new' / 'file'))
    assert not os.path.isfile(os.devnull) and (tmp_path / 'new' / 'file').read_bytes() == b'here'


def test_a_checkpoint_within_an_epoch_is_removed_by_the_next_whole_one(tmp_path):
    training = Training(tmp_path, by_epoch=True, save_best=None)
    training.hook.before_train(training)
    assert save_now(training, 5) == str(tmp_path / 'iter_5.pth')
    resumed = Training(tmp_path, by_epoch=True, save_best=None).resume(tmp_path / 'iter_5.pth')
    resumed.hook.before_train(resumed)
    resumed.hook._save_checkpoint_with_step(resumed, 1, dict(epoch=1, iter=9))
    assert sorted(os.listdir(tmp_path)) == ['epoch_1.pth', 'last_checkpoint']


def test_a_step_that_is_saved_already_is_not_saved_again(tmp_path):
    training = Training(tmp_path).train(2)
    (tmp_path / 'iter_2.pth').unlink()
    assert save_now(training, 2) == str(tmp_path / 'iter_2.pth') and not (tmp_path / 'iter_2.pth').exists()
    assert save_now(training, 3) == str(tmp_path / 'iter_3.pth') and (tmp_path / 'iter_3.pth').exists()


def test_in_a_validation_averaged_weights_are_put_back_before_the_save(tmp_path):
    training = Training(tmp_path).train(1)
    training.hooks.append(average := EMAHook())
    calls = []
    average.after_val_epoch = lambda runner: calls.append('back')
    training.save_checkpoint = lambda *args, **kwargs: calls.append('saved')
    save_now(training, 2, validating=True)
    assert calls == ['back', 'saved']


def test_without_a_checkpoint_hook_nothing_is_saved(tmp_path):
    training = Training(tmp_path)
    training.hooks = []
    assert save_now(training, 3) is None and not os.listdir(tmp_path)
