import math
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stop training when a loss is NaN or infinite, before a checkpoint with broken weights is written.

    Args:
        interval: Iterations between two checks; each check waits for the device. The first iteration, and the last one
            before a checkpoint, are always checked.

    Raises:
        FloatingPointError: If a loss is not finite; the message names the losses.
    """

    # Runs before the logger and the checkpoint hook.
    priority = 'VERY_HIGH'

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise ValueError(f'NonFiniteLossHook: interval must be >= 1, but is {interval}')
        self.interval = interval
        self._latest: dict[str, Any] = {}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None, outputs: dict | None = None
    ) -> None:
        self._latest = {
            name: value.detach() if isinstance(value, Tensor) else value
            for name, value in (outputs or {}).items()
            if 'loss' in name
        }
        if runner.iter == 0 or self.every_n_train_iters(runner, self.interval):
            self._check(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self._check(runner)

    def _check(self, runner: Runner) -> None:
        values = {name: float(value) for name, value in self._latest.items()}
        wrong = [f'{name} = {value}' for name, value in values.items() if not math.isfinite(value)]
        parts = [entry for entry in wrong if not entry.startswith('loss = ')]
        if wrong:
            raise FloatingPointError(
                f'iteration {runner.iter + 1}: losses must be finite, but {", ".join(parts or wrong)}; lower the '
                'learning '
                "rate or the term's weight, or clip gradients (optim_wrapper.clip_grad)"
            )
