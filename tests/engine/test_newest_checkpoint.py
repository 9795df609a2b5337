from pathlib import Path

import pytest
from mmengine.hooks import Hook

from mmseg_kd.io.checkpoint import CheckpointError
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


class Note(Hook):
    def __init__(self):
        self.first, self.warnings = None, []

    def before_run(self, runner):
        runner.logger.warning = self.warnings.append

    def before_train(self, runner):
        self.first = runner.iter


def resume(work_dir, channels=4):
    note = Note()
    runner = toy_runner(
        toy_segmentor(channels, auxiliary=False), work_dir, max_iters=3, custom_hooks=[note], resume=True
    )
    runner.train()
    return note


@pytest.fixture
def work_dir(tmp_path):
    hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False))
    toy_runner(toy_segmentor(4, auxiliary=False), tmp_path, max_iters=3, default_hooks=hooks).train()
    return tmp_path


def test_a_run_resumes_from_the_newest_checkpoint_that_reads_and_fits_and_says_what_it_leaves_out(work_dir):
    other = work_dir / 'other'
    toy_runner(toy_segmentor(8, auxiliary=False), other, max_iters=3).train()
    (work_dir / 'iter_3.pth').write_bytes((other / 'iter_3.pth').read_bytes())
    content = (work_dir / 'iter_2.pth').read_bytes()
    (work_dir / 'iter_2.pth').write_bytes(content[: len(content) // 2])
    note = resume(work_dir)
    assert note.first == 1
    assert any('left out' in line and 'iter_2.pth is not a readable checkpoint' in line for line in note.warnings)
    assert any('left out' in line and 'iter_3.pth does not fit: ' in line for line in note.warnings)
    # All are damaged, but not gone: starting again would overwrite what may be saved yet.
    for name in ('iter_1.pth', 'iter_2.pth', 'iter_3.pth'):
        (work_dir / name).write_bytes(b'')
    with pytest.raises(CheckpointError, match='no checkpoint in .* can be read, although there are 3: .*file is empty'):
        resume(work_dir)


def test_a_killed_pointer_does_not_hide_the_checkpoints(work_dir):
    (work_dir / 'last_checkpoint').write_text('')
    assert resume(work_dir).first == 3
    assert Path((work_dir / 'last_checkpoint').read_text()) == work_dir / 'iter_3.pth'
