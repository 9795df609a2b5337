"""Class frequencies in the labeled part of a data set, and a choice of images that includes rare classes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..constants import IGNORE_INDEX
from ..io.files import write_atomically
from ..io.tables import Rows
from .image_list import ImageList
from .partitions import part_size
from .reading import read_labels

CANDIDATES = 32


def count_classes(images: ImageList, report: Callable[[int], None] | None = None) -> np.ndarray:
    """Number of pixels by image and class, (M, C), without ignored pixels. Every label map is read.

    Args:
        images: Images of a data set whose pipeline loads labels.
        report: Function that is called after every image with the number of label maps read so far.

    Raises:
        ValueError: If the data set names no classes or loads no labels, or if a label map holds a number that is no
            class.

    Example:
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> root = write_camvid_tree('camvid', images=2, size=(8, 8))
        >>> dataset = dict(type='CamVidDataset', data_root=str(root), pipeline=[dict(type='LoadAnnotations')],
        ...                data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'))
        >>> count_classes(ImageList(dataset, 'train_dataloader.dataset')).shape
        (2, 11)
    """
    classes = len(images.metainfo.get('classes') or ())
    if not classes:
        raise ValueError(f'{images.key} must name its classes (metainfo), but names none')
    counts = np.zeros((len(images), classes), np.int64)
    for index in range(len(images)):
        labels, path, *_ = read_labels(*images.locate(index), images.key)
        number = np.bincount(labels.ravel(), minlength=256)
        ignored = getattr(images.locate(index)[0], 'ignore_index', IGNORE_INDEX)
        number[[value for value in (IGNORE_INDEX, ignored) if value < len(number)]] = 0
        if number[classes:].any():
            raise ValueError(
                f'labels must lie in 0..{classes - 1} or be {IGNORE_INDEX} (ignored), but {path} holds '
                f'{np.flatnonzero(number[classes:])[0] + classes}; check reduce_zero_label and the label '
                'files'
            )
        counts[index] = number[:classes]
        if report is not None:
            report(index + 1)
    return counts


def balanced_part(counts: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    r"""Choose images that hold many pixels of every class, including rare classes.

    Let :math:`s_{ic}` be the share of all pixels of class c that image i holds. Images are chosen one by one to
    increase :math:`\sum_c \sqrt{\sum_{i\ \mathrm{chosen}} s_{ic}}`. Every class has the same weight, and an image adds
    less for a class that is already well represented. Each chosen image is the best of 32 random candidates, so the
    choice still depends on the seed. With the same seed, a larger fraction contains a smaller one. Classes without
    pixels have no influence.

    Args:
        counts: Number of pixels by image and class (M, C), as :func:`count_classes` returns them. The order of the
            images matters.
        fraction: Fraction of the images to choose, in (0, 1); the number of images is rounded up.
        seed: Seed of the random candidates.

    Returns:
        np.ndarray: indices of the chosen images in ascending order.

    The greedy choice from random candidates follows Mirzasoleiman et al., "Lazier than lazy greedy" (AAAI 2015, arXiv
    1409.7938).

    Example:
        >>> counts = np.array([[90, 0], [80, 0], [70, 30], [60, 0]])  # only the third image holds class 1
        >>> balanced_part(counts, fraction=0.25, seed=0)
        array([2])
    """
    shares = counts / np.maximum(counts.sum(0), 1)
    random = np.random.default_rng(seed)
    rest, chosen, held = np.arange(len(counts)), [], np.zeros(counts.shape[1])
    for _ in range(part_size(len(counts), fraction)):
        places = random.choice(len(rest), min(CANDIDATES, len(rest)), replace=False)
        gains = (np.sqrt(held + shares[rest[places]]) - np.sqrt(held)).sum(1)
        best = places[gains.argmax()]
        held += shares[rest[best]]
        chosen.append(rest[best])
        rest = np.delete(rest, best)
    return np.sort(chosen)


def share_table(counts: np.ndarray, labeled: np.ndarray, classes: Sequence[str]) -> Rows:
    """Rows of a table that compares class frequencies in the labeled images with those in all images.

    Args:
        counts: Number of pixels by image and class (M, C).
        labeled: Indices of the labeled images.
        classes: Class names.

    Example:
        >>> for row in share_table(np.array([[50, 50], [100, 0]]), np.array([0]), ['road', 'car'])[1:]:
        ...     print(*row)
        road 75.00 50.00 100.00 100.00 33.33
        car 25.00 50.00 50.00 100.00 100.00
    """
    rows: list[tuple[str, ...]] = [('class', 'pixels %, all', 'labeled', 'images %, all', 'labeled', 'of class, %')]
    part = counts[labeled]
    columns = (
        counts.sum(0) / max(counts.sum(), 1),
        part.sum(0) / max(part.sum(), 1),
        (counts > 0).mean(0),
        (part > 0).mean(0),
        part.sum(0) / np.maximum(counts.sum(0), 1),
    )
    for name, *shares in zip(classes, *columns):
        rows.append((name, *(f'{100 * share:.2f}' for share in shares)))
    return rows


def write_partition(folder: str | Path, images: ImageList, labeled: np.ndarray) -> tuple[Path, Path]:
    """Write ``labeled.txt`` and ``unlabeled.txt`` atomically, with one id per line.

    Args:
        folder: Folder for both files; it is created with its parents.
        images: Images of the data set.
        labeled: Indices of the labeled images.

    Example:
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> root = write_camvid_tree('camvid', images=2, size=(8, 8))
        >>> dataset = dict(type='CamVidDataset', data_root=str(root), data_prefix=dict(img_path='img_dir/train'))
        >>> images = ImageList(dataset, 'train_dataloader.dataset')
        >>> labeled, unlabeled = write_partition('partition', images, np.array([1]))
        >>> labeled.read_text(), unlabeled.read_text()
        ('0001TP_000001\\n', '0001TP_000000\\n')
    """
    folder, ids = Path(folder), np.array(images.ids())
    folder.mkdir(parents=True, exist_ok=True)
    parts = dict(labeled=ids[labeled], unlabeled=np.delete(ids, labeled))
    for name, part in parts.items():
        write_atomically(folder / f'{name}.txt', ''.join(f'{line}\n' for line in part))
    return folder / 'labeled.txt', folder / 'unlabeled.txt'
