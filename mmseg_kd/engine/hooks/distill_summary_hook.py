import logging

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...distillers import Distiller
from ...profiling.summary import distillation_summary
from ..optim.distill_optim_wrapper_constructor import critic_parameters


@HOOKS.register_module()
class DistillSummaryHook(Hook):
    """Load the teachers before training, and log a summary of networks, terms and costs.

    Loading them here ends the run before its first iteration if a checkpoint does not fit.

    Raises:
        ValueError: If the student's optimizer would train an auxiliary module (critic).
    """

    priority = 'LOW'

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not isinstance(model, Distiller):
            return
        if (
            critic_parameters(model)
            and isinstance(runner.optim_wrapper, OptimWrapper)
            and not hasattr(runner.optim_wrapper, 'optim_wrappers')
        ):
            raise ValueError(
                'model.terms has an auxiliary module, which needs its own optimizer; set '
                "optim_wrapper.constructor='DistillOptimWrapperConstructor' and optim_wrapper.critic"
            )
        for teacher in model.teachers.values():
            for member in teacher.members:
                member.module
        shown = any(handler.level <= logging.INFO for handler in runner.logger.handlers)
        if shown and is_main_process():
            runner.logger.info('Distillation\n' + distillation_summary(model))
