from math import inf
from typing import Any

from mmengine.hooks import EarlyStoppingHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS


@HOOKS.register_module()
class ResumableEarlyStoppingHook(EarlyStoppingHook):
    """MMEngine's ``EarlyStoppingHook`` that also counts the validations before a resume.

    MMEngine's hook counts in memory, so a resumed run would start counting again. This hook recounts the results of all
    validations, which every checkpoint stores in its message hub. :class:`~mmseg_kd.engine.ValidateOnResumeHook`
    ensures that no result is missing.

    Args:
        monitor: Name of the metric.
        rule: Direction of improvement, ``'greater'`` or ``'less'``; None to infer it from the metric's name.
        min_delta: Smallest change that counts as an improvement, in units of the metric (percent for mIoU).
        patience: Number of validations without improvement after which training stops.
    """

    def __init__(self, monitor: str, rule: str | None = None, min_delta: float = 0.1, patience: int = 5) -> None:
        super().__init__(monitor, rule=rule, min_delta=min_delta, patience=patience, strict=True)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any]) -> None:
        self.wait_count, self.best_score = 0, -inf if self.rule == 'greater' else inf
        results = runner.message_hub.get_scalar(f'val/{self.monitor}').data[0] if self.monitor in metrics else ()
        for result in results[:-1]:
            self._check_stop_condition(result)
        super().after_val_epoch(runner, metrics)
