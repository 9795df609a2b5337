from typing import Any

from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS

from ...datasets import InfiniteViewSampler, ViewSampler


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Continue a resumed run with the same images and the same early stopping as an uninterrupted one.

    The sampler starts at the position where the run ended, also within an epoch, and loads no image to get there. A run
    without a fixed seed uses the seed of its checkpoint. ``EarlyStoppingHook`` counts the validations before the
    resume. Other samplers are not changed, and the log warns.

    Every training gets this hook. :class:`~mmseg_kd.engine.StepSeedHook` handles all other random numbers.
    """

    # Runs before ValidateOnResumeHook repeats a validation.
    priority = 'NORMAL'

    def before_run(self, runner: Runner) -> None:
        self._seed = runner.seed

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        if not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
            return
        sampler = getattr(loop.dataloader, 'sampler', None)
        if isinstance(sampler, ViewSampler):
            # The Runner restores the seed of the checkpoint only after the sampler is built.
            if sampler.seed == self._seed:
                sampler.seed = runner.seed
            if loop.iter > 0:
                _start_at(loop, sampler)
        else:
            runner.logger.warning(
                f'train_dataloader.sampler is {type(sampler).__name__}, so a resumed run has another order of '
                'images and other augmentations; InfiniteSampler and DefaultSampler, without batch_sampler and '
                'num_batch_per_epoch, are resumed exactly'
            )
        for hook in runner.hooks if loop.iter > 0 else ():
            if isinstance(hook, EarlyStoppingHook):
                _recount(runner, hook)


def _start_at(loop: Any, sampler: ViewSampler) -> None:
    """Make a loop start with the batch after its last iteration."""
    loader, done = loop.dataloader, loop.iter
    batches_per_pass = len(loader)
    if isinstance(loop, EpochBasedTrainLoop):
        batches = done - loop.epoch * batches_per_pass
        # The number of batches changes with the number of processes and the batch size.
        sampler.start_at(loop.epoch, batches * loader.batch_size if 0 <= batches <= batches_per_pass else 0)
        return
    epoch, batches = (0, done) if isinstance(sampler, InfiniteViewSampler) else divmod(done, batches_per_pass)
    loop.dataloader_iterator = _ResumedBatches(loop, sampler, epoch, batches * loader.batch_size)


class _ResumedBatches:
    """An iterator for MMEngine's ``IterBasedTrainLoop`` that starts in an epoch, after some of its samples."""

    def __init__(self, loop: Any, sampler: ViewSampler, epoch: int, samples: int) -> None:
        self._loader, self._kind = loop.dataloader, type(loop.dataloader_iterator)
        self._sampler, self._epoch, self._samples = sampler, epoch, samples
        self._batches: Any = None
        # MMEngine's own releases skip by reading batches, the maintained continuation by a call.
        self._unread = 0 if hasattr(self._kind, 'skip_iter') else loop.iter

    def skip_iter(self, num_iters: int) -> None:
        """Do nothing, because the sampler skips."""

    def __next__(self) -> Any:
        if self._unread:
            self._unread -= 1
            return None
        if self._batches is None:
            # Not earlier, because MMEngine's hooks set the sampler to epoch 0, and old releases have started workers.
            self._sampler.start_at(self._epoch, self._samples)
            self._loader._iterator = None
            self._batches = self._kind(self._loader)
            self._batches._epoch = self._epoch
        return next(self._batches)


def _recount(runner: Runner, hook: EarlyStoppingHook) -> None:
    """Give early stopping the results of earlier validations, which the checkpoint contains."""
    name = f'val/{hook.monitor}'
    if name not in runner.message_hub.log_scalars:
        return
    for result in runner.message_hub.get_scalar(name).data[0]:
        stop, reason = hook._check_stop_condition(result)
        if stop:
            runner.train_loop.stop_training = True
            runner.logger.info(reason)
            return
