"""How much of each class a labeled part of a data set holds, and how to choose one that holds the rare ones too."""

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
    """Pixels of each class in each image, (M, C), without void; every label map is read.

    Args:
        images: of the data set; its pipeline loads labels.
        report: is called after every image with the number of those that are read.

    Raises:
        ValueError: if the data set names no classes, loads no labels, or holds others than its classes.
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
                f'labels must lie in 0..{classes - 1} or be {IGNORE_INDEX} (void), but {path} holds '
                f'{np.flatnonzero(number[classes:])[0] + classes}; check reduce_zero_label and the label '
                'files'
            )
        counts[index] = number[:classes]
        if report is not None:
            report(index + 1)
    return counts


def balanced_part(counts: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    r"""Choose images that hold much of every class, also of the rare ones.

    With :math:`s_{ic}` the share of all pixels of class c that image i holds, images are chosen one after the other to
    raise :math:`\sum_c \sqrt{\sum_{i\ \mathrm{chosen}} s_{ic}}`: what a class gains by an image falls with what is
    chosen of it already, and every class counts the same, however rare. Each is the best of 32 random ones, which
    leaves the part random; of two fractions with one seed, the greater contains the smaller. Classes without a pixel
    count for nothing.

    Args:
        counts: pixels (M, C), as :func:`count_classes` gives them; the order of the images matters.
        fraction: of the images, in (0, 1); rounded up.
        seed: of the random ones.

    Returns:
        np.ndarray: places of the chosen images, ascending.

    The greedy choice from a random few is that of Mirzasoleiman et al., "Lazier than lazy greedy" (AAAI 2015, arXiv
    1409.7938).
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
    """Rows of a table: each class among the labeled pixels and images, beside all of them.

    Args:
        counts: pixels (M, C).
        labeled: places of the labeled images.
        classes: names.
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
    """Write ``labeled.txt`` and ``unlabeled.txt``, an id a line, each seen whole or not at all.

    Args:
        folder: where to; it and its parents are created.
        images: of the data set.
        labeled: places of the labeled images.
    """
    folder, ids = Path(folder), np.array(images.ids())
    folder.mkdir(parents=True, exist_ok=True)
    parts = dict(labeled=ids[labeled], unlabeled=np.delete(ids, labeled))
    for name, part in parts.items():
        write_atomically(folder / f'{name}.txt', ''.join(f'{line}\n' for line in part))
    return folder / 'labeled.txt', folder / 'unlabeled.txt'
