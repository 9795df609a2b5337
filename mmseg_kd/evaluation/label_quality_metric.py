"""Quality of the pseudo-labels that a network would write, as metrics of a validation."""

from collections.abc import Sequence
from typing import Any

from mmseg.registry import METRICS

from ..constants import IGNORE_INDEX
from ..labeling.class_areas import ClassAreas
from ..labeling.quality import quality_of
from .pixels import PixelMetric, label_maps, sample_logits


@METRICS.register_module()
class LabelQualityMetric(PixelMetric):
    """Quality of a network's pseudo-labels at several thresholds, to choose ``--threshold`` of ``pseudo_label.py``.

    At each threshold t, pixels whose predicted class has a probability below t are ignored. ``label_mIoU@t`` and
    ``label_accuracy@t`` compare the remaining pixels with the ground truth, and ``label_share@t`` is their share; all
    in percent. See :class:`~mmseg_kd.labeling.Quality`.

    Args:
        thresholds: Probabilities in 0..1 below which a pixel is ignored.
        probabilities: Whether ``seg_logits`` of the predictions holds probabilities or other scores >= 0 instead of
            logits, as that of mask classifiers (Mask2Former, MaskFormer, SAN) and of test-time augmentation does.
        **options: Arguments of :class:`~mmseg_kd.evaluation.pixels.PixelMetric`.

    Raises:
        ValueError: If a threshold lies outside 0..1, or if the labels are missing or are no classes.

    Example:
        >>> import torch
        >>> metric = LabelQualityMetric(thresholds=[0, 0.8])
        >>> metric.dataset_meta = dict(classes=['road', 'car'])
        >>> logits = torch.tensor([[[0.9, 0.6]], [[0.1, 0.4]]]).log()
        >>> sample = dict(seg_logits=logits, pred_sem_seg=torch.tensor([[[0, 0]]]), gt_sem_seg=torch.tensor([[[0, 1]]]))
        >>> metric.process(None, [{key: dict(data=value) for key, value in sample.items()}])
        >>> metric.evaluate(1)  # doctest: +NORMALIZE_WHITESPACE
        {'label_mIoU@0': 25.0, 'label_accuracy@0': 50.0, 'label_share@0': 100.0,
         'label_mIoU@0.8': 100.0, 'label_accuracy@0.8': 100.0, 'label_share@0.8': 50.0}
    """

    def __init__(
        self, thresholds: Sequence[float] = (0.0, 0.5, 0.7, 0.9), probabilities: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        if not all(0 <= threshold <= 1 for threshold in thresholds):
            raise ValueError(f'thresholds must be probabilities in 0..1, but are {list(thresholds)}')
        self.thresholds, self.probabilities = list(thresholds), probabilities

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of every image at every threshold.

        Args:
            data_batch: Batch of the data loader; not used.
            data_samples: Predicted data samples as dicts, with ``seg_logits``.
        """
        for sample in data_samples:
            predicted, truth = label_maps(sample, self.ignore_index)
            shares = sample_logits(sample, self.probabilities).float().softmax(0)
            confidence = shares.gather(0, predicted[None])[0]
            found = []
            for threshold in self.thresholds:
                areas = ClassAreas(len(self.classes))
                areas.update(predicted.masked_fill(confidence < threshold, IGNORE_INDEX), truth)
                found.append(areas)
            self.results.append((found, int((truth != IGNORE_INDEX).sum())))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """MIoU, accuracy and share of the labeled pixels at every threshold, in percent.

        Args:
            results: Areas at every threshold and number of labeled pixels, of every image.
        """
        metrics = {}
        for index, threshold in enumerate(self.thresholds):
            areas = ClassAreas(len(self.classes))
            for found, _ in results:
                areas += found[index]
            quality = quality_of(areas, sum(pixels for _, pixels in results), self.classes)
            for name, value in (('mIoU', quality.miou), ('accuracy', quality.accuracy), ('share', quality.judged)):
                metrics[f'label_{name}@{threshold:g}'] = round(value, 2)
        return metrics
