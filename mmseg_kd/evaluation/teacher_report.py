"""Reports of a teacher's accuracy, calibration and entropy."""

import math
from collections.abc import Sequence

import numpy as np

from ..io.tables import csv_table, markdown_table
from .output_statistics import CALIBRATION_BINS, ENTROPY_BINS, OutputStatistics

SHOWN_BINS = 10
LOW, HIGH = 0.1, 0.9


def suggest_temperatures(temperatures: Sequence[float], medians: Sequence[float]) -> tuple[list[float], str]:
    """Temperatures to try, and the rule that chose them as a sentence.

    This is a heuristic on the teacher alone. Only a training shows the gain of a student.

    Args:
        temperatures: Analyzed temperatures.
        medians: Median entropy at each temperature, as a share of log C.
    """
    pairs = sorted(zip(temperatures, medians))
    good = [temperature for temperature, median in pairs if LOW <= median <= HIGH]
    low = [temperature for temperature, median in pairs if median < LOW]
    high = [temperature for temperature, median in pairs if median > HIGH]
    rule = (
        f'the median entropy lies between {LOW:g} and {HIGH:g} of log C. Below, most outputs are almost one-hot '
        'and add little to the labels; above, most are almost uniform and carry no information'
    )
    if not good:
        # Entropy rises with the temperature, so the range lies between the last value below and the first above.
        good = [math.sqrt(low[-1] * high[0]) if low and high else low[-1] * 2 if low else high[0] / 2]
        rule = f'no temperature has a median entropy between {LOW:g} and {HIGH:g} of log C, so the next value is ' + (
            'between those below and those above' if low and high else 'twice the highest' if low else 'half the lowest'
        )
    return good, rule


def teacher_report(name: str, statistics: OutputStatistics) -> str:
    """Accuracy, calibration, entropy by temperature, and temperatures to try, as Markdown.

    Args:
        name: Name of the teacher.
        statistics: Statistics of the teacher's output.
    """
    means, medians = statistics.mean_entropy(), statistics.median_entropy()
    good, rule = suggest_temperatures(statistics.temperatures, medians.tolist())
    return (
        '\n\n'.join(
            [
                f'## {name}',
                f'{statistics.images} images, {statistics.pixels} pixels that are not ignored, '
                f'{statistics.num_classes} classes.',
                markdown_table(
                    [
                        ('', 'mIoU, %', 'accuracy, %', 'mean confidence, %', f'ECE, % ({CALIBRATION_BINS} bins)'),
                        (
                            'teacher',
                            *(
                                f'{100 * value:.2f}'
                                for value in (
                                    statistics.miou,
                                    statistics.accuracy,
                                    statistics.confidence,
                                    statistics.ece,
                                )
                            ),
                        ),
                    ]
                ),
                f'Share of pixels, in %, by the entropy of softmax(logits / T); log C = '
                f'{statistics.max_entropy:.3f} nats.',
                markdown_table(_entropy_rows(statistics, means, medians)),
                f'Temperatures to try: {", ".join(f"{temperature:g}" for temperature in good)}. Rule: {rule}. '
                'This is a heuristic on the teacher alone; only a training shows the gain of a student. '
                'Keep T = 1 in the comparison.',
            ]
        )
        + '\n'
    )


def _entropy_rows(statistics: OutputStatistics, means: np.ndarray, medians: np.ndarray) -> list[tuple[str, ...]]:
    shares, top = statistics.shares(SHOWN_BINS), statistics.max_entropy
    rows = [('entropy / log C', 'nats', *(f'T = {temperature:g}' for temperature in statistics.temperatures))]
    for i in range(SHOWN_BINS):
        low, high = i / SHOWN_BINS, (i + 1) / SHOWN_BINS
        rows.append(
            (
                f'{low:.1f} to {high:.1f}',
                f'{low * top:.2f} to {high * top:.2f}',
                *(f'{100 * share:.2f}' for share in shares[:, i]),
            )
        )
    for label, values in (('mean', means), ('median', medians)):
        rows.append((f'{label}, of log C', '', *(f'{value:.3f}' for value in values)))
        rows.append((f'{label}, nats', '', *(f'{value * top:.3f}' for value in values)))
    return rows


def entropy_csv(statistics: OutputStatistics) -> str:
    """Bins of the entropy as CSV: edges as a share of log C and in nats, and the share of pixels per temperature."""
    shares, top = statistics.shares(), statistics.max_entropy
    names = [f'share_T{temperature:g}' for temperature in statistics.temperatures]
    rows = [['from', 'to', 'from_nats', 'to_nats', *names]]
    for i in range(ENTROPY_BINS):
        edges = np.array([i, i + 1]) / ENTROPY_BINS
        rows.append([f'{value:.6g}' for value in (*edges, *(edges * top), *shares[:, i])])
    return csv_table(rows)


def reliability_csv(statistics: OutputStatistics) -> str:
    """The reliability diagram as CSV: edges, pixels, accuracy and mean confidence of every bin."""
    rows = [
        [f'{low:.6g}', f'{high:.6g}', str(pixels), f'{accuracy:.6g}', f'{confidence:.6g}']
        for low, high, pixels, accuracy, confidence in statistics.reliability()
    ]
    return csv_table([('from', 'to', 'pixels', 'accuracy', 'confidence'), *rows])
