"""Labels and probabilities of predicted data samples, as metrics receive them."""

from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..constants import IGNORE_INDEX
from ..distillers.labels import unify_ignored
from ..models.hf_networks import log_shares


class PixelMetric(BaseMetric):
    """Base of metrics that compare the predicted class of every pixel with its label.

    Args:
        ignore_index: Label of ignored pixels. 255 is ignored in any case.
        prefix: Prefix of the metrics' names, which separates two metrics of the same class.
        collect_device: Device that collects the results of several processes, ``'cpu'`` or ``'gpu'``.
        collect_dir: Folder in which processes exchange results on the CPU; a temporary one if None.
    """

    default_prefix = ''

    def __init__(
        self,
        ignore_index: int = IGNORE_INDEX,
        prefix: str | None = None,
        collect_device: str = 'cpu',
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        self.ignore_index = ignore_index

    @property
    def classes(self) -> list[str]:
        """Class names of the data set."""
        return list((self.dataset_meta or {})['classes'])


def label_maps(sample: dict[str, Any], ignore_index: int = IGNORE_INDEX) -> tuple[Tensor, Tensor]:
    """Predicted classes and labels (H, W) of a predicted data sample, with 255 for ignored pixels.

    Args:
        sample: Data sample as a dict.
        ignore_index: Label of ignored pixels.

    Raises:
        ValueError: If the sample has no labels.

    Example:
        >>> maps = dict(data=torch.tensor([[[1]]])), dict(data=torch.tensor([[[0]]]))
        >>> label_maps(dict(pred_sem_seg=maps[0], gt_sem_seg=maps[1]), ignore_index=0)
        (tensor([[1]]), tensor([[255]]))
    """
    if 'gt_sem_seg' not in sample:
        raise ValueError(
            'val_dataloader.dataset.pipeline must load the labels, but its samples have none; put '
            "dict(type='LoadAnnotations') into it"
        )
    # A network with one output channel predicts floats.
    predicted = sample['pred_sem_seg']['data'][0].long()
    return predicted, unify_ignored(sample['gt_sem_seg']['data'][0].to(predicted), ignore_index)


def sample_logits(sample: dict[str, Any], probabilities: bool) -> Tensor:
    """Logits (C, H, W), C >= 2, of a predicted data sample.

    Args:
        sample: Data sample as a dict, with ``seg_logits``: for one channel, the probability of class 1.
        probabilities: Whether ``seg_logits`` holds probabilities or other scores >= 0 instead of logits.

    Example:
        >>> sample_logits(dict(seg_logits=dict(data=torch.tensor([[[0.25]]]))), False).exp().flatten()
        tensor([0.7500, 0.2500])
    """
    maps = sample['seg_logits']['data']
    if len(maps) == 1:
        maps, probabilities = torch.cat([1 - maps, maps]), True
    return log_shares(maps[None].float())[0] if probabilities else maps
