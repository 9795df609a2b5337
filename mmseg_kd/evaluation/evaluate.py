"""The evaluation loop: predictions of images, and metrics of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric, Evaluator
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader, Dataset, Subset

Predict = Callable[[dict], Sequence[SegDataSample]]


@torch.no_grad()
def predictions(
    predict: Predict, dataset: Dataset, indices: Sequence[int] | None = None, workers: int = 0
) -> Iterator[SegDataSample]:
    """Predict images of a data set, one after the other.

    Args:
        predict: Function of a batch of one image, as a data loader returns it, that returns its data sample with the
            prediction; such as the ``test_step`` of a segmentor or :func:`~mmseg_kd.evaluation.teacher_predict`.
        dataset: Data set of the images.
        indices: Indices of the images, in the order of the predictions; None for all images.
        workers: Number of processes that load images; 0 to load them in this process.

    Example:
        >>> image = dict(data_samples=SegDataSample(metainfo=dict(img_path='street.png')))
        >>> [sample.img_path for sample in predictions(lambda batch: batch['data_samples'], [image] * 3, [0, 2])]
        ['street.png', 'street.png']
    """
    chosen = Subset(dataset, range(len(dataset)) if indices is None else indices)  # type: ignore[arg-type]
    for batch in DataLoader(chosen, num_workers=workers, collate_fn=pseudo_collate):
        yield from predict(batch)


def evaluate(
    samples: Iterator[SegDataSample],
    metrics: BaseMetric | Sequence[BaseMetric],
    metainfo: dict[str, Any],
    report: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Compute metrics of predictions as ``val_evaluator`` does, but of those of this process alone.

    Processes need not call it together: it collects nothing from the others.

    Args:
        samples: Data samples with predictions and labels, such as those of :func:`predictions`.
        metrics: One metric or several.
        metainfo: ``metainfo`` of the data set; its ``classes`` are needed.
        report: Function that is called after every image with the number of images done.

    Example:
        >>> from mmengine.structures import PixelData
        >>> from mmseg_kd.evaluation import ImageIoUMetric
        >>> labels = PixelData(data=torch.tensor([[[0, 0, 1, 255]]]))
        >>> sample = SegDataSample(gt_sem_seg=labels, pred_sem_seg=PixelData(data=torch.tensor([[[0, 1, 1, 1]]])))
        >>> evaluate(iter([sample]), ImageIoUMetric(), dict(classes=['road', 'car']))
        {'image_mIoU': 50.0, 'image_mIoU_lowest': 50.0, 'image_mIoU_median': 50.0}
    """
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = metainfo
    done = 0
    for done, sample in enumerate(samples, start=1):
        evaluator.process([sample])
        if report is not None:
            report(done)
    return {name: value for metric in evaluator.metrics for name, value in _computed(metric).items()}


def _computed(metric: BaseMetric) -> dict[str, float]:
    """The values of a metric under their names, without collecting the results of other processes."""
    values = metric.compute_metrics(list(metric.results))
    metric.results.clear()
    return {f'{metric.prefix}/{name}' if metric.prefix else name: value for name, value in values.items()}
