"""What labels a few images have been given, by one labeler after the other, as a picture."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..datasets.even_subset import even_subset
from ..labeling import read_summary
from .picture_grid import PictureRow, class_legend, color_labels, draw_grid, palette_of
from .prediction_picture import image_iou


def spread_images(folder: Path, count: int) -> dict[str, str]:
    """Images of a folder of labels, evenly spread over all in the order of their names: file by id.

    Args:
        folder: of :func:`~mmseg_kd.labeling.write_labels`.
        count: how many, or all if there are fewer.
    """
    images = read_summary(str(folder))['images']
    names = sorted(images)
    return {names[i]: images[names[i]]['image'] for i in even_subset(len(names), count)}


def draw_labels(
    columns: Mapping[str, Sequence[Path]],
    images: dict[str, str],
    read: Callable[[str], np.ndarray],
    truth: dict[str, np.ndarray],
    path: Path,
) -> None:
    """Write a PNG with a row per image: image, its true labels where they are known, and those of each labeler.

    Args:
        columns: by title, the folders of labels of one labeler, which hold every image once.
        images: path by id.
        read: gives the image at a path, (H, W, 3), uint8, RGB.
        truth: label map (H, W), 255 = void, by id; may be empty. Rows then say the IoU of the labels with it.
        path: of the PNG; its folder exists.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: as :func:`~mmseg_kd.visualization.prediction_picture.image_iou`.
    """
    summary = read_summary(str(next(iter(columns.values()))[0]))
    classes = summary['classes']
    palette = palette_of(summary)
    rows = []
    seen: list[np.ndarray] = []
    for name, image in images.items():
        maps = {title: np.asarray(Image.open(_find(folders, name))) for title, folders in columns.items()}
        title = name
        if name in truth:
            ious = (
                f'{column} {100 * image_iou(labels, truth[name], len(classes)):.1f}' for column, labels in maps.items()
            )
            title = f'{name}, IoU in %: {", ".join(ious)}'
            maps = dict(truth=truth[name], **maps)
        seen.extend(maps.values())
        rows.append(PictureRow(title, [read(image), *(color_labels(labels, palette) for labels in maps.values())]))
    draw_grid(['image', *['truth'] * bool(truth), *columns], rows, class_legend(seen, classes, palette), path)


def _find(folders: Sequence[Path], name: str) -> Path:
    return next(path for path in (folder / f'{name}.png' for folder in folders) if path.is_file())
