from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...distillers import MeanTeacher


@HOOKS.register_module()
class MeanTeacherHook(Hook):
    """Update the teacher of a :class:`~mmseg_kd.distillers.MeanTeacher` after every iteration.

    Args:
        momentum: Share of the teacher's old weights in the new ones, in [0, 1).

    Raises:
        ValueError: If ``momentum`` is out of range.
        TypeError: If the model is not a ``MeanTeacher``; raised before training.
    """

    # Runs before the checkpoint is written.
    priority = 'NORMAL'

    def __init__(self, momentum: float = 0.99) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f'MeanTeacherHook: momentum must be in [0, 1), but is {momentum}')
        self.momentum = momentum

    def before_train(self, runner: Runner) -> None:
        if not isinstance(_model(runner), MeanTeacher):
            raise TypeError(
                f'MeanTeacherHook needs a MeanTeacher, but the model is a {type(_model(runner)).__name__}; remove '
                'the hook from custom_hooks'
            )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None, outputs: dict | None = None
    ) -> None:
        _model(runner).update_teacher(self.momentum)


def _model(runner: Runner):
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
