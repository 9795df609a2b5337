"""IoU of single images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmseg.registry import METRICS

from ..io.files import write_atomically
from ..io.tables import csv_table
from ..labeling.class_areas import ClassAreas
from .pixels import PixelMetric, label_maps


@METRICS.register_module()
class ImageIoUMetric(PixelMetric):
    """The IoU of every image: the mean over the classes that occur or are predicted in it.

    ``image_mIoU`` is its mean over images, in percent. It weights all images equally, unlike mIoU, which sums
    intersections and unions over all images first. ``image_mIoU_lowest`` and ``image_mIoU_median`` describe its spread.
    Images whose pixels are all ignored do not count.

    Args:
        out: Path of a CSV file with the IoU of every image and of every class in it; None for no file.
        **options: Arguments of :class:`~mmseg_kd.evaluation.pixels.PixelMetric`.

    Attributes:
        images: Path and :class:`~mmseg_kd.labeling.class_areas.ClassAreas` of every image of the last evaluation.

    Raises:
        ValueError: If the labels are missing, have another size than the prediction, or are no classes.

    Example:
        >>> import torch
        >>> metric = ImageIoUMetric(out='images.csv')
        >>> metric.dataset_meta = dict(classes=['road', 'car'])
        >>> def sample(path, predicted, labels):
        ...     maps = [dict(data=torch.tensor([[row]])) for row in (predicted, labels)]
        ...     return dict(img_path=path, pred_sem_seg=maps[0], gt_sem_seg=maps[1])
        >>> metric.process(None, [sample('1.png', [0, 0, 1], [0, 1, 1]), sample('2.png', [0, 0, 0], [0, 0, 255])])
        >>> metric.evaluate(2)
        {'image_mIoU': 75.0, 'image_mIoU_lowest': 50.0, 'image_mIoU_median': 75.0}
        >>> print(open('images.csv').read().strip())
        image,mIoU,road,car
        1.png,50.00,50.00,50.00
        2.png,100.00,100.00,
    """

    def __init__(self, out: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.out = out
        self.images: list[tuple[str, ClassAreas]] = []

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of every image.

        Args:
            data_batch: Batch of the data loader; not used.
            data_samples: Predicted data samples as dicts.
        """
        for sample in data_samples:
            areas = ClassAreas(len(self.classes))
            areas.update(*label_maps(sample, self.ignore_index))
            self.results.append((sample.get('img_path') or '', areas))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Mean, lowest and median IoU of images, in percent.

        Args:
            results: Path and areas of every image.
        """
        self.images = results
        if self.out is not None:
            rows = [['image', 'mIoU', *self.classes]]
            rows += [[path, *map(_percent, [areas.miou, *areas.iou])] for path, areas in results]
            Path(self.out).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(Path(self.out), csv_table(rows))
        ious = [100 * areas.miou for _, areas in results if areas.pixels] or [np.nan]
        return dict(
            image_mIoU=round(float(np.mean(ious)), 2),
            image_mIoU_lowest=round(float(min(ious)), 2),
            image_mIoU_median=round(float(np.median(ious)), 2),
        )


def _percent(share: float) -> str:
    return '' if np.isnan(share) else f'{100 * share:.2f}'
