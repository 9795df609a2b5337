from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS

from ..safe_saves import VALIDATED


@HOOKS.register_module()
class ValidateOnResumeHook(Hook):
    """Run the validation that a killed run missed after its last checkpoint.

    MMEngine writes the checkpoint of an epoch before it validates. A run resumed from this checkpoint continues with
    the next epoch, so plateau schedules, early stopping and the choice of the best checkpoint would miss one result.
    This hook runs the missing validation before training continues, unless the checkpoint already holds its result.
    Every training gets this hook.
    """

    # All other hooks must be ready for a validation.
    priority = 'LOWEST'

    def before_val(self, runner: Runner) -> None:
        # The best checkpoint is written at the end of this validation and must hold its result.
        runner.message_hub.update_info(VALIDATED, runner.iter)

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        if not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
            return
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        done, last = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
        known = runner.message_hub.runtime_info.get(VALIDATED) == runner.iter
        within_epoch = by_epoch and loop.iter != loop.epoch * len(loop.dataloader)  # stopped there by a signal
        if runner.val_loop is None or done == 0 or known or within_epoch:
            return
        loop._decide_current_val_interval()
        if done >= loop.val_begin and (done % loop.val_interval == 0 or done == last):
            runner.logger.info(
                f'The validation after {"epoch" if by_epoch else "iteration"} {done} was interrupted and runs now'
            )
            runner.val_loop.run()
