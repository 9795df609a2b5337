"""What two students see, side by side, as a picture."""
from pathlib import Path
from typing import Sequence, Union

import numpy as np

from ..losses.ops import IGNORE_INDEX

TITLES = ('image', 'truth', 'teacher', 'student alone', 'student distilled', 'difference')
BOTH_OR_NEITHER, ONLY_DISTILLED, ONLY_ALONE, VOID = (128, 128, 128), (0, 170, 60), (215, 25, 30), (255, 255, 255)


def comparison_picture(images: Sequence[np.ndarray], truth: Sequence[np.ndarray], teacher: Sequence[np.ndarray],
                       student: Sequence[np.ndarray], distilled: Sequence[np.ndarray],
                       palette: Sequence[Sequence[int]], path: Union[str, Path]) -> None:
    """Write a PNG with one row per image: image, truth, the three predictions, and where the two students differ.

    Args:
        images: (H, W, 3), uint8, RGB; at least one.
        truth: label maps (H, W), 255 = void.
        teacher: what the teacher predicts, (H, W).
        student: what the student that learned alone predicts, (H, W).
        distilled: what the distilled student predicts, (H, W).
        palette: red, green and blue in 0..255 of every class.
        path: of the PNG; its folder exists.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there is no image, or the lists differ in length.
    """
    lengths = [len(column) for column in (images, truth, teacher, student, distilled)]
    if not lengths[0] or len(set(lengths)) > 1:
        raise ValueError('comparison_picture needs as many label maps of each kind as images, and at least one, but '
                         f'images, truth, teacher, student and distilled have {lengths}')
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [(image, *(colour_labels(labels, palette) for labels in row), difference_map(row[0], *row[2:]))
            for image, *row in zip(images, truth, teacher, student, distilled)]
    side = 1.6
    figure = Figure(figsize=(side * len(TITLES), side * len(rows) + 0.55), dpi=120)
    # A canvas of its own, so that neither the user's backend nor open figures are touched.
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(TITLES), squeeze=False)
    for cells, row in zip(axes, rows):
        for cell, picture in zip(cells, row):
            cell.imshow(picture, interpolation='nearest')
            cell.set_axis_off()
    for cell, title in zip(axes[0], TITLES):
        cell.set_title(title, fontsize=10)
    height = figure.get_figheight()
    figure.subplots_adjust(0.005, 0.3 / height, 0.995, 1 - 0.25 / height, wspace=0.03, hspace=0.03)
    words = (('only the distilled student is right', ONLY_DISTILLED), ('only the student alone is right', ONLY_ALONE),
             ('both or neither', BOTH_OR_NEITHER))
    for place, (word, colour) in zip((0.34, 0.62, 0.88), words):
        figure.text(place, 0.14 / height, '\u25a0', color=np.divide(colour, 255), fontsize=12, va='center', ha='right')
        figure.text(place + 0.005, 0.14 / height, word, fontsize=9, va='center')
    canvas.print_png(str(path))


def check_matplotlib() -> None:
    """Raise ImportError, with the command that mends it, unless matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "mmseg-kd[demo]"') from error


def colour_labels(labels: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """A label map (H, W) as an RGB picture (H, W, 3), uint8; void is white."""
    colours = np.full((256, 3), VOID, np.uint8)
    colours[:len(palette)] = palette
    return colours[labels]


def difference_map(truth: np.ndarray, student: np.ndarray, distilled: np.ndarray) -> np.ndarray:
    """Green where only the distilled student is right, red where only the other is, grey elsewhere, white in void.

    Args:
        truth: label map (H, W), 255 = void.
        student: prediction (H, W).
        distilled: prediction (H, W).

    Returns:
        an RGB picture (H, W, 3), uint8.
    """
    picture = np.full((*truth.shape, 3), BOTH_OR_NEITHER, np.uint8)
    picture[(distilled == truth) & (student != truth)] = ONLY_DISTILLED
    picture[(student == truth) & (distilled != truth)] = ONLY_ALONE
    picture[truth == IGNORE_INDEX] = VOID
    return picture
