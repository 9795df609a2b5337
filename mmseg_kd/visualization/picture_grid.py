"""Images and label maps side by side: a PNG with a row per image."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..constants import IGNORE_INDEX
from ..io.files import write_atomically

# Sizes in inches.
SIDE, GAP, TITLE, LEGEND_LINE, LEGEND_LETTER, LEGEND_MARK = 1.6, 0.05, 0.22, 0.2, 0.065, 0.4
IGNORED = (255, 255, 255)


class PictureRow(NamedTuple):
    """One image in all columns.

    Args:
        title: Title above the row; empty for none.
        pictures: RGB pictures (H, W, 3), uint8, one per column.
    """

    title: str
    pictures: list[np.ndarray]


def draw_grid(
    columns: Sequence[str], rows: Sequence[PictureRow], legend: Sequence[tuple[str, Sequence[int]]], path: str | Path
) -> None:
    """Write a PNG with one row per image.

    Args:
        columns: Titles of the columns.
        rows: At least one row; each keeps the aspect ratio of its first picture.
        legend: Names with red, green and blue in 0..255, shown below the rows.
        path: Path of the PNG in an existing folder.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    width = len(columns) * (SIDE + GAP) + GAP
    entry = LEGEND_MARK + LEGEND_LETTER * max((len(name) for name, _ in legend), default=0)
    per_line = max(1, int(width / entry))
    sides = [SIDE * row.pictures[0].shape[0] / row.pictures[0].shape[1] for row in rows]
    above = [TITLE if row.title else GAP for row in rows]
    height = TITLE + sum(above) + sum(sides) + LEGEND_LINE * math.ceil(len(legend) / per_line) + 4 * GAP
    figure = Figure(figsize=(width, height), dpi=120)
    # A separate canvas, so that neither the user's backend nor open figures are touched.
    canvas = FigureCanvasAgg(figure)
    lefts = [GAP + i * (SIDE + GAP) for i in range(len(columns))]
    for left, column in zip(lefts, columns):
        figure.text((left + SIDE / 2) / width, 1 - TITLE / 2 / height, column, fontsize=10, ha='center', va='center')
    top = height - TITLE
    for row, room, side in zip(rows, above, sides):
        figure.text(GAP / width, (top - room / 2) / height, row.title, fontsize=8, va='center')
        top -= room + side
        for left, picture in zip(lefts, row.pictures):
            cell = figure.add_axes((left / width, top / height, SIDE / width, side / height))
            cell.imshow(picture, interpolation='nearest', aspect='auto')
            cell.set_axis_off()
    figure.legend(
        handles=[
            Patch(facecolor=(color[0] / 255, color[1] / 255, color[2] / 255), edgecolor='0.6', label=name)
            for name, color in legend
        ],
        loc='lower center',
        ncols=per_line,
        frameon=False,
        fontsize=8,
        handlelength=1,
        handleheight=1,
        borderpad=0,
    )
    content = io.BytesIO()
    canvas.print_png(content)
    write_atomically(Path(path), content.getvalue())


def check_matplotlib() -> None:
    """Raise ImportError, with the command that installs it, unless matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "mmseg-kd[demo]"') from error


def color_labels(labels: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """A label map (H, W) as an RGB picture (H, W, 3), uint8; ignored pixels are white."""
    colors = np.full((256, 3), IGNORED, np.uint8)
    colors[: len(palette)] = palette
    return colors[labels]


def palette_of(metainfo: dict) -> list[list[int]]:
    """The colors of the classes, from the data set or at random.

    Args:
        metainfo: Metainfo of a data set with ``classes`` and perhaps ``palette``.
    """
    palette = metainfo.get('palette')
    if palette is None or not len(palette):
        return np.random.default_rng(0).integers(0, 256, (len(metainfo['classes']), 3)).tolist()
    return [[int(part) for part in color] for color in palette]


def class_legend(
    maps: Sequence[np.ndarray], classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> list[tuple[str, Sequence[int]]]:
    """Names and colors of the classes that occur in label maps (H, W), 255 for ignored pixels."""
    seen = set().union(*(np.unique(labels).tolist() for labels in maps))
    legend = [(classes[i], palette[i]) for i in sorted(seen - {IGNORE_INDEX})]
    return legend + [('ignored', IGNORED)] * (IGNORE_INDEX in seen)
