from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import HOOKS
from torch import nn


@HOOKS.register_module()
class ValidationLossHook(Hook):
    """Log the student's own loss on the validation images as ``val_loss``, next to the metrics.

    It is the weighted loss of the decode head (cross-entropy, Dice, ...) for the validated prediction, including
    sliding windows and resizing, so no image is processed twice. Each part is logged as ``val_`` and its name. All
    values are means over the images. Distillation terms, auxiliary modules and auxiliary heads are left out, so that
    the baseline and distilled students can be compared. Training does not change.

    Schedules and early stopping may monitor ``val_loss`` (``rule='less'``).

    Raises:
        ValueError: If the head's loss needs more than its output (before training), or if validation images have no
            labels (during validation).
    """

    # Runs before the metrics are logged, to which it adds entries.
    priority = 'HIGHEST'
    # Beginnings of the names that this hook adds; read before training.
    metric_prefix = 'val_loss'

    def before_train(self, runner: Runner) -> None:
        _head(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._images = 0

    @torch.no_grad()
    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        head = _head(runner)
        for sample in outputs or ():
            if 'gt_sem_seg' not in sample:
                raise ValueError(
                    'ValidationLossHook needs the labels of the validation images; put LoadAnnotations into '
                    'the pipeline of val_dataloader.dataset, or remove the hook from custom_hooks'
                )
            logits = sample.seg_logits.data[None].float()
            if len(logits[0]) == 1:
                logits = torch.logit(logits, eps=1e-6)  # MMSegmentation's prediction of one channel is a probability
            losses = head.loss_by_feat(logits, [sample])
            for name, value in losses.items():
                if 'loss' in name:
                    self._sums[name] = self._sums.get(name, 0) + value.double().mean()
            self._images += 1

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if not self._sums or metrics is None:
            return
        sums = torch.stack(list(self._sums.values()))
        totals = torch.cat([sums, sums.new_tensor([self._images])])
        all_reduce(totals)
        *means, _ = (totals / totals[-1]).tolist()
        for name, mean in zip(self._sums, means):
            metrics[f'val_{name}'] = mean
        metrics['val_loss'] = sum(means)


def _head(runner: Runner) -> BaseDecodeHead:
    """The decode head that gives the final prediction."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    head = getattr(model, 'decode_head', None)
    head = head[-1] if isinstance(head, nn.ModuleList) else head
    if getattr(type(head), 'loss_by_feat', None) is not BaseDecodeHead.loss_by_feat:
        raise ValueError(
            f'ValidationLossHook needs a decode head whose loss depends only on its output, but '
            f'{type(head).__name__} does not have one; remove the hook from custom_hooks'
        )
    return head
