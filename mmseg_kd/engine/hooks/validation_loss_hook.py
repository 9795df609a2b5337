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
    """Log the student's own loss on the validation images, as ``val_loss``, beside the metrics.

    It is the loss of the decode head (cross-entropy, Dice and the like, with their weights), of the prediction that
    is validated: windows, resizing and all, so nothing runs twice. Each of its parts is logged under ``val_`` and its
    name. All are means over the images. Terms, critics and auxiliary heads do not count, so that a student alone and
    distilled ones can be compared. Training itself stays as it is.

    Schedules and early stopping may monitor ``val_loss`` (``rule='less'``).

    Raises:
        ValueError: before training, if the head's loss needs more than its output; in validation, if images have no
            labels.
    """

    # What it adds to the metrics must be there before they are logged.
    priority = 'HIGHEST'
    # Asked before training for the names of what it adds.
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
                    'the pipeline of val_dataloader.dataset, or take the hook out of custom_hooks'
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
    """The decode head whose output is the prediction."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    head = getattr(model, 'decode_head', None)
    head = head[-1] if isinstance(head, nn.ModuleList) else head
    if getattr(type(head), 'loss_by_feat', None) is not BaseDecodeHead.loss_by_feat:
        raise ValueError(
            f'ValidationLossHook needs a decode head whose loss is of its output alone, but '
            f'{type(head).__name__} computes it otherwise; take the hook out of custom_hooks'
        )
    return head
