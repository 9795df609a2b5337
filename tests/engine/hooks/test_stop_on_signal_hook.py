import os
import signal

import pytest
from mmengine.hooks import Hook

from mmseg_kd.io.checkpoint import read_checkpoint
from mmseg_kd.io.stop_signals import Stopped, requested
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


class Send(Hook):
    """Send a signal to this process within a step."""

    def __init__(self, at):
        self.at, self.steps = at, []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.steps.append(runner.iter)
        if runner.iter == self.at:
            os.kill(os.getpid(), signal.SIGUSR1)


def test_a_signal_ends_the_training_after_the_step_with_a_checkpoint(tmp_path, capfd):
    send = Send(at=1)
    runner = toy_runner(toy_segmentor(4, auxiliary=False), tmp_path, max_iters=4, custom_hooks=[send])
    with pytest.raises(Stopped) as stopped:
        runner.train()
    assert stopped.value.code == 0 and send.steps == [0, 1]
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL and requested() is None
    path = tmp_path / 'iter_2.pth'
    assert (
        f'stopped by SIGUSR1: {path} is saved, and the same command with --resume continues' in capfd.readouterr().err
    )
    assert read_checkpoint(str(path))['meta']['iter'] == 2
    rest = Send(at=None)
    toy_runner(toy_segmentor(4, auxiliary=False), tmp_path, max_iters=4, custom_hooks=[rest], resume=True).train()
    assert rest.steps == [2, 3]
