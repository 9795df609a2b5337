"""A picture that compares the predictions of two students."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..constants import IGNORE_INDEX
from .picture_grid import IGNORED, PictureRow, color_labels, draw_grid

TITLES = ('image', 'truth', 'teacher', 'baseline', 'distilled', 'difference')
BOTH_OR_NEITHER, ONLY_DISTILLED, ONLY_BASELINE = (128, 128, 128), (0, 170, 60), (215, 25, 30)


def comparison_picture(
    images: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    teacher: Sequence[np.ndarray],
    student: Sequence[np.ndarray],
    distilled: Sequence[np.ndarray],
    palette: Sequence[Sequence[int]],
    path: str | Path,
) -> None:
    """Write a PNG with one row per image: image, truth, the three predictions, and where the two students differ.

    Args:
        images: RGB images (H, W, 3), uint8; at least one.
        truth: Ground truth (H, W) of each image, 255 for ignored pixels.
        teacher: Predictions (H, W) of the teacher.
        student: Predictions (H, W) of the baseline, a student that was trained without a teacher.
        distilled: Predictions (H, W) of the distilled student.
        palette: Red, green and blue in 0..255 of every class.
        path: Path of the PNG in an existing folder.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there is no image, or the lists differ in length.
    """
    lengths = [len(column) for column in (images, truth, teacher, student, distilled)]
    if not lengths[0] or len(set(lengths)) > 1:
        raise ValueError(
            'images, truth, teacher, student and distilled must have equal lengths of at least 1, but the lengths are '
            f'{lengths}'
        )
    rows = [
        PictureRow('', [image, *(color_labels(labels, palette) for labels in row), difference_map(row[0], *row[2:])])
        for image, *row in zip(images, truth, teacher, student, distilled)
    ]
    legend = [
        ('only the distilled student is right', ONLY_DISTILLED),
        ('only the baseline is right', ONLY_BASELINE),
        ('both or neither', BOTH_OR_NEITHER),
    ]
    draw_grid(TITLES, rows, legend, path)


def difference_map(truth: np.ndarray, student: np.ndarray, distilled: np.ndarray) -> np.ndarray:
    """Green where only the distilled student is right, red where only the baseline is, white for ignored pixels.

    All other pixels are gray.

    Args:
        truth: Ground truth (H, W), 255 for ignored pixels.
        student: Prediction (H, W) of the baseline.
        distilled: Prediction (H, W) of the distilled student.

    Returns:
        an RGB picture (H, W, 3), uint8.
    """
    picture = np.full((*truth.shape, 3), BOTH_OR_NEITHER, np.uint8)
    picture[(distilled == truth) & (student != truth)] = ONLY_DISTILLED
    picture[(student == truth) & (distilled != truth)] = ONLY_BASELINE
    picture[truth == IGNORE_INDEX] = IGNORED
    return picture
