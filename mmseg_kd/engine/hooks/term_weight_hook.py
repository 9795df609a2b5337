from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

from ...distillers import Distiller


@HOOKS.register_module()
class TermWeightHook(Hook):
    """Update the weights of terms that have a schedule, and log them as ``<term>_weight``.

    With a :class:`~mmseg_kd.distillers.GradientShare`, the share of every term in the gradient is logged as
    ``<term>_share`` at each measurement.

    A resumed run continues as if it had not been interrupted. A new run that starts from the weights of another one
    measures its own gradients.
    """

    priority = 'ABOVE_NORMAL'

    def before_train(self, runner: Runner) -> None:
        model = _distiller(runner)
        if model is not None and model.gradient_shares is not None and runner.iter == 0:
            model.gradient_shares.reset()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None) -> None:
        model = _distiller(runner)
        if model is not None:
            model.move_terms(runner.iter, runner.max_iters)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None, outputs: dict | None = None
    ) -> None:
        model = _distiller(runner)
        if model is None:
            return
        for name, term in model.all_terms.items():
            if term.schedule is not None:
                runner.message_hub.update_scalar(f'train/{name}_weight', term.weight)
        shares = model.gradient_shares
        if shares is not None and shares.measured_at == runner.iter:
            for name, share in shares.measured.items():
                runner.message_hub.update_scalar(f'train/{name}_share', share)


def _distiller(runner: Runner) -> Distiller | None:
    model: nn.Module = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return model if isinstance(model, Distiller) else None
