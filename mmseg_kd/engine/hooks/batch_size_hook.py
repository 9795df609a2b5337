from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch.utils.data import DataLoader


@HOOKS.register_module()
class BatchSizeHook(Hook):
    """Warn at the start of training if the batch size differs from the one that the learning rate was tuned for.

    The expected batch size is MMEngine's ``auto_scale_lr.base_batch_size``. Without it, or with
    ``auto_scale_lr.enable=True``, which scales the learning rate, there is no warning. The actual batch size is the
    batch of one process times the number of processes times ``optim_wrapper.accumulative_counts``. In semi-supervised
    training, one item is a labeled image with its unlabeled images.
    """

    # Runs before the slow hooks.
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        scaling = runner.auto_scale_lr or {}
        expected, per_process = scaling.get('base_batch_size'), _batch_size(runner.train_dataloader)
        if not expected or not per_process or scaling.get('enable'):
            return
        accumulated = runner.cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
        parts = runner.world_size * accumulated
        if per_process * parts == expected:
            return
        processes = f'{runner.world_size} process{"es" * (runner.world_size > 1)}'
        product = ' x '.join(
            [f'train_dataloader.batch_size={per_process}', processes]
            + [f'accumulative_counts={accumulated}'] * (accumulated > 1)
        )
        remedy = (
            f'set train_dataloader.batch_size={expected // parts}'
            if expected % parts == 0
            else (f'choose a number of processes{" x accumulative_counts" * (accumulated > 1)} that divides {expected}')
        )
        runner.logger.warning(
            f'the learning rate was tuned for {expected} items per step, but {product} are {per_process * parts}; '
            f'{remedy}, or auto_scale_lr.enable=True to scale the learning rate'
        )


def _batch_size(dataloader: DataLoader) -> int | None:
    """Items per batch of one process; None if a batch sampler does not reveal it."""
    if dataloader.batch_size is not None:
        return dataloader.batch_size
    return getattr(dataloader.batch_sampler, 'batch_size', None)
