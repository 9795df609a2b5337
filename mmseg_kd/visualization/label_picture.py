"""A picture that compares the labels of several labelers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..datasets.even_subset import even_subset
from ..labeling import read_summary
from .picture_grid import PictureRow, class_legend, color_labels, draw_grid, palette_of
from .prediction_picture import image_iou


def spread_images(folder: Path, count: int) -> dict[str, str]:
    """Files of a few images by id, evenly spaced in the sorted order of a folder of labels.

    Args:
        folder: Folder of labels that :func:`~mmseg_kd.labeling.write_labels` wrote.
        count: Number of images; all images if there are fewer.
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
    """Write a PNG with a row per image: image, true labels if known, and the labels of each labeler.

    Args:
        columns: Folders of labels by title. The folders of one title hold every image once.
        images: Paths of the images by id.
        read: Function of a path that returns the RGB image (H, W, 3), uint8.
        truth: Ground truth (H, W) by id, 255 for ignored pixels; may be empty. Titles show the IoU with it.
        path: Path of the PNG in an existing folder.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: If labels and ground truth differ in size, or if a label is no class.
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
