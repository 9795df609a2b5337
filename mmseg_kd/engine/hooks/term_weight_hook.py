from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...distillers import Distiller


@HOOKS.register_module()
class TermWeightHook(Hook):
    """Update the weights of terms that have a schedule, and log them as ``<term>_weight``.

    The weight depends only on the iteration, so a resumed run continues as if it had not been interrupted.
    """

    priority = 'ABOVE_NORMAL'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Sequence[dict] | None = None) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not isinstance(model, Distiller):
            return
        for name, term in model.all_terms.items():
            if term.schedule is not None:
                term.weight = term.schedule(runner.iter)
                runner.message_hub.update_scalar(f'train/{name}_weight', term.weight)
