import math
from typing import Optional, Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """End training when a loss is NaN or infinite, and say which, before a checkpoint of it is written.

    Args:
        interval: iterations between two checks; each waits for the device. The first iteration is always checked.

    Raises:
        FloatingPointError: naming the losses, after the iteration.
    """

    priority = 'VERY_HIGH'

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise ValueError(f'NonFiniteLossHook: interval must be >= 1, but is {interval}')
        self.interval = interval

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Optional[Sequence[dict]] = None,
                         outputs: Optional[dict] = None) -> None:
        if runner.iter != 0 and not self.every_n_train_iters(runner, self.interval):
            return
        values = {
            name: float(value.detach() if isinstance(value, Tensor) else value)
            for name, value in (outputs or {}).items() if 'loss' in name
        }
        wrong = [f'{name} = {value}' for name, value in values.items() if not math.isfinite(value) and name != 'loss']
        if wrong or not math.isfinite(values.get('loss', 0.0)):
            raise FloatingPointError(
                f'iteration {runner.iter + 1}: losses must be finite, but {", ".join(wrong) or "their sum is not"}; lower '
                "the learning rate or the term's weight, or clip gradients (optim_wrapper.clip_grad)")
