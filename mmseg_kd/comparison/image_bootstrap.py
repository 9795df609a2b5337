"""Confidence intervals over images, from the confusion matrices that validations write."""

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..io.image_confusion import LAST, TEST, ImageConfusion, mean_iou, read_image_confusion
from ..io.runs import METRIC, Run

RESAMPLES = 4999
AT_ONCE = 2**20  # numbers of a batch of resamples
ROUNDED = 0.011  # logs have two digits


@dataclass(frozen=True)
class ImageDifference:
    """The difference in mIoU of two groups of networks on the same images.

    Args:
        mean: Difference of the mean mIoU, in percentage points.
        low: Lower end of the confidence interval; None for a single image.
        high: Upper end of the confidence interval; None for a single image.
        images: Number of images.

    Example:
        >>> ImageDifference(mean=1.2, low=0.4, high=2.0, images=500).images
        500
    """

    mean: float
    low: float | None
    high: float | None
    images: int


def image_difference(
    ours: Sequence[ImageConfusion],
    theirs: Sequence[ImageConfusion],
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> ImageDifference:
    """The difference in mIoU, with the interval of a paired bootstrap over images.

    Each resample draws as many images as there are, with replacement, and the same images for all networks. The
    networks of a group, such as several seeds, are averaged within each resample. So the interval tells what other
    images of the same kind would give, for these networks; it does not tell what other trainings would give. The ends
    are those of SciPy's bias-corrected and accelerated bootstrap, or percentiles where that is not defined. The same
    arguments give the same interval.

    Args:
        ours: Matrices of the networks of one group.
        theirs: Matrices of the networks of the other group.
        confidence: Probability that the interval contains the difference on all images of the kind, in (0, 1).
        resamples: Number of resamples.

    Raises:
        ValueError: If the networks have other images or other classes, or ``confidence`` is not between 0 and 1.

    Example:
        >>> names, classes = [f'{i}.png' for i in range(20)], ['road', 'car']
        >>> image = np.arange(20).repeat(4)
        >>> ours = ImageConfusion(names, classes, 100, image, [0, 1, 2, 3] * 20, [30, 10, 10, 50] * 20)
        >>> theirs = ImageConfusion(names, classes, 100, image, [0, 1, 2, 3] * 20, [30, 10, 15, 45] * 20)
        >>> found = image_difference([ours], [theirs])  # all images are equal
        >>> print(f'{found.mean:.2f} in [{found.low:.2f}, {found.high:.2f}]')
        6.30 in [6.30, 6.30]
    """
    if not 0 < confidence < 1:
        raise ValueError(f'confidence must lie between 0 and 1, such as 0.95, but is {confidence:g}')
    every = [*ours, *theirs]
    count = _check_same(every)
    order = [np.argsort(one.images, kind='stable') for one in every]
    areas = [
        np.stack([one.intersections[index], one.unions[index]], 1).astype(float) for one, index in zip(every, order)
    ]
    # (images, networks x (intersection, union) x classes): one product of matrices sums them for all resamples.
    table = np.stack(areas, 1).reshape(count, -1)
    shape = len(every), 2, len(every[0].classes)

    def difference(drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        """The difference for drawn images (..., n), where ``axis`` is the last."""
        rows = drawn.reshape(-1, drawn.shape[-1]).astype(np.int64)
        cells = rows + count * np.arange(len(rows))[:, None]
        times = np.bincount(cells.ravel(), minlength=count * len(rows)).reshape(-1, count)
        sums = (times.astype(float) @ table).reshape(-1, *shape)
        mious = 100 * mean_iou(sums[:, :, 0], sums[:, :, 1])
        found = mious[:, : len(ours)].mean(1) - mious[:, len(ours) :].mean(1)
        return found.reshape(drawn.shape[:-1])

    images = np.arange(count)
    mean = float(difference(images))
    if count < 2 or not math.isfinite(mean):
        return ImageDifference(mean, None, None, count)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # SciPy warns where its interval is not defined
        result = stats.bootstrap(
            (images,),
            difference,
            n_resamples=resamples,
            batch=max(1, AT_ONCE // max(count, table.shape[1])),
            vectorized=True,
            confidence_level=confidence,
            method='BCa',
            random_state=np.random.default_rng(0),
        )
    low, high = map(float, result.confidence_interval)
    if not (math.isfinite(low) and math.isfinite(high)):
        tail = (1 - confidence) / 2
        low, high = map(float, np.nanquantile(result.bootstrap_distribution, [tail, 1 - tail]))
    return ImageDifference(mean, low, high, count)


def validated_images(run: Run) -> ImageConfusion:
    """The confusion matrices of a run's last validation.

    Args:
        run: Complete run.

    Raises:
        FileNotFoundError: If its folder has no matrices.
        ValueError: If they are not those of this validation. The messages are reasons for a reader of the comparison.
    """
    reasons = []
    for path in (run.folder / LAST, run.folder / TEST):
        if path.is_file():
            found = read_image_confusion(path)
            if abs(found.miou - run.miou) <= ROUNDED:
                return found
            reasons.append(
                f'{run.folder.name}/{path.name} has {METRIC} {found.miou:.2f}, but the last validation {run.miou:.2f}'
            )
    if not reasons:
        raise FileNotFoundError(
            f'not all of its runs and those of the baseline have {LAST}, which validations write; for a run without '
            f'it, "python tools/test.py CONFIG LAST_CHECKPOINT --work-dir RUN_DIR" writes {TEST}'
        )
    raise ValueError('; '.join(reasons))


def _check_same(every: Sequence[ImageConfusion]) -> int:
    """The number of images, if all networks have the same images and classes."""
    first = every[0]
    for other in every[1:]:
        if other.classes != first.classes:
            raise ValueError(f'classes must be the same, but are {_some(first.classes)} and {_some(other.classes)}')
        if sorted(other.images) != sorted(first.images):
            mine, theirs = set(first.images) - set(other.images), set(other.images) - set(first.images)
            only = next(iter(sorted(mine or theirs)), 'one that is listed twice')
            raise ValueError(
                f'validation images must be the same, but are {len(first.images)} and {len(other.images)}; only one of '
                f'the two has {only}'
            )
    return len(first.images)


def _some(names: Sequence[str]) -> str:
    return ', '.join(itertools.islice(names, 3)) + ', ...' * (len(names) > 3)
