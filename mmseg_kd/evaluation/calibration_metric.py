"""Calibration and entropy as metrics of a validation."""

from collections.abc import Sequence
from typing import Any

from mmseg.registry import METRICS

from .output_statistics import OutputStatistics
from .pixels import PixelMetric, label_maps, sample_logits


@METRICS.register_module()
class CalibrationMetric(PixelMetric):
    """Calibration of a network: how well its probabilities tell how often it is right.

    ``ECE`` is the expected calibration error and ``confidence`` the mean probability of the predicted class, both in
    percent; ``entropy_T<T>`` is the median entropy of the softened output, as a share of the largest one, log C.
    See :class:`~mmseg_kd.evaluation.OutputStatistics` for the formulas.

    Args:
        temperatures: Temperatures of the softened output, for the entropy.
        probabilities: Whether ``seg_logits`` of the predictions holds probabilities or other scores >= 0 instead of
            logits, as that of mask classifiers (Mask2Former, MaskFormer, SAN) and of test-time augmentation does.
        **options: Arguments of :class:`~mmseg_kd.evaluation.pixels.PixelMetric`.

    Attributes:
        statistics: :class:`~mmseg_kd.evaluation.OutputStatistics` of all images of the last evaluation.

    Raises:
        ValueError: If the labels are missing or are no classes, if the logits are not finite, or if ``temperatures``
            are not different numbers > 0.

    Example:
        >>> import torch
        >>> metric = CalibrationMetric()
        >>> logits = torch.tensor([[[0.9, 0.9]], [[0.1, 0.1]]]).log()
        >>> sample = dict(seg_logits=logits, pred_sem_seg=torch.tensor([[[0, 0]]]), gt_sem_seg=torch.tensor([[[0, 1]]]))
        >>> metric.process(None, [{key: dict(data=value) for key, value in sample.items()}])
        >>> metric.evaluate(1)
        {'ECE': 40.0, 'confidence': 90.0, 'entropy_T1': 0.468}
    """

    def __init__(self, temperatures: Sequence[float] = (1.0,), probabilities: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.temperatures, self.probabilities = list(temperatures), probabilities
        self.statistics: OutputStatistics | None = None
        OutputStatistics(2, self.temperatures)  # refuses wrong temperatures before the first validation

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of every image.

        Args:
            data_batch: Batch of the data loader; not used.
            data_samples: Predicted data samples as dicts, with ``seg_logits``.
        """
        for sample in data_samples:
            predicted, labels = label_maps(sample, self.ignore_index)
            logits = sample_logits(sample, self.probabilities)
            statistics = OutputStatistics(len(logits), self.temperatures)
            statistics.update(logits, labels, predicted)
            self.results.append(statistics)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Calibration error, mean confidence and median entropies over all images.

        Args:
            results: Statistics of every image.
        """
        self.statistics = statistics = sum(results[1:], results[0])
        if not statistics.pixels:
            return dict(ECE=float('nan'), confidence=float('nan'))
        entropies = zip(self.temperatures, statistics.median_entropy())
        return dict(
            ECE=round(100 * statistics.ece, 2),
            confidence=round(100 * statistics.confidence, 2),
            **{f'entropy_T{temperature:g}': round(float(entropy), 3) for temperature, entropy in entropies},
        )
