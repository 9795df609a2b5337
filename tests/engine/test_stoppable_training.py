import os
import signal

import pytest
from mmengine.hooks import Hook

from mmseg_kd.engine.stoppable_training import ADVICE
from mmseg_kd.io.files import _host
from mmseg_kd.io.stop_signals import Stopped
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


class Early(Hook):
    """A signal before the first step."""

    def before_run(self, runner):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_before_the_first_step_ends_at_once_and_leftovers_are_removed(tmp_path, capfd):
    left = tmp_path / f'.mmseg_kd.{_host()}.{2**22 + 1}.0.tmp'
    left.touch()
    runner = toy_runner(toy_segmentor(4, auxiliary=False), tmp_path, custom_hooks=[Early()])
    with pytest.raises(Stopped):
        runner.train()
    assert f'stopped by SIGTERM: {ADVICE}' in capfd.readouterr().err
    assert not left.exists() and not list(tmp_path.glob('*.pth'))
