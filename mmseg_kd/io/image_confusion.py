"""Confusion matrices of single images, as files that a validation writes and that no reader executes."""

import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .files import write_atomically

LAST, BEST, TEST = 'confusion_last.npz', 'confusion_best.npz', 'confusion_test.npz'
LARGEST = 2**30  # bytes of an unpacked file; 2,000 images with all cells of 150 classes take half of it
ARRAYS = ('image', 'cell', 'pixels')


@dataclass(eq=False)
class ImageConfusion:
    """Confusion matrices of images, without the cells that are 0.

    Args:
        images: Names of the N images.
        classes: Names of the C classes.
        iteration: Training iteration of the network.
        image: Index of the image of each cell (E,).
        cell: Index ``true class * C + predicted class`` of each cell (E,).
        pixels: Number of pixels in each cell (E,).

    Example:
        >>> found = ImageConfusion(['a.png', 'b.png'], ['road', 'car'], 100, [0, 0, 1], [0, 1, 3], [30, 10, 5])
        >>> found.matrix(0)  # rows are true classes, columns are predicted ones
        array([[30, 10],
               [ 0,  0]])
        >>> round(found.miou, 2)  # the IoU of road is 30 / 40, that of car 5 / 15
        54.17
    """

    images: list[str]
    classes: list[str]
    iteration: int
    image: np.ndarray
    cell: np.ndarray
    pixels: np.ndarray

    def __post_init__(self) -> None:
        self.image, self.cell, self.pixels = (np.asarray(getattr(self, name), np.int64) for name in ARRAYS)

    def matrix(self, index: int) -> np.ndarray:
        """Pixels of one image by true and predicted class (C, C)."""
        count, mine = len(self.classes), self.image == index
        matrix = np.zeros(count * count, np.int64)
        np.add.at(matrix, self.cell[mine], self.pixels[mine])
        return matrix.reshape(count, count)

    @property
    def intersections(self) -> np.ndarray:
        """Number of right pixels of every image and class (N, C)."""
        true, predicted = np.divmod(self.cell, len(self.classes))
        right = true == predicted
        return self._sums(true[right], self.image[right], self.pixels[right])

    @property
    def unions(self) -> np.ndarray:
        """Number of pixels of every image with each class as label or prediction (N, C)."""
        true, predicted = np.divmod(self.cell, len(self.classes))
        areas = self._sums(true, self.image, self.pixels) + self._sums(predicted, self.image, self.pixels)
        return areas - self.intersections

    @property
    def miou(self) -> float:
        """MIoU over all images in percent; NaN without pixels."""
        return float(100 * mean_iou(self.intersections.sum(0), self.unions.sum(0)))

    def _sums(self, label: np.ndarray, image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        found = np.zeros((len(self.images), len(self.classes)), np.int64)
        np.add.at(found, (image, label), pixels)
        return found


def mean_iou(intersections: np.ndarray, unions: np.ndarray) -> np.ndarray:
    """Mean IoU over the classes that are a label or a prediction, in [0, 1]; NaN without such a class.

    Args:
        intersections: Number of right pixels of every class (..., C).
        unions: Number of pixels with each class as label or prediction (..., C).

    Example:
        >>> mean_iou(np.array([30, 5, 0]), np.array([40, 10, 0]))
        array(0.625)
    """
    present = unions > 0
    iou = np.divide(intersections, unions, out=np.zeros(unions.shape), where=present)
    count = present.sum(-1)
    return np.divide(iou.sum(-1), count, out=np.full(count.shape, np.nan), where=count > 0)


def relative_names(paths: Sequence[str]) -> list[str]:
    """Paths without their common parent folders, so that they are equal on all machines.

    Args:
        paths: Paths of images.

    Example:
        >>> relative_names(['/data/val/city/1.png', '/data/val/town/1.png'])
        ['city/1.png', 'town/1.png']
    """
    parts = [path.replace('\\', '/').split('/') for path in paths]
    common = os.path.commonprefix([one[:-1] for one in parts])
    return ['/'.join(one[len(common) :]) for one in parts]


def write_image_confusion(path: str | Path, confusion: ImageConfusion) -> None:
    """Write confusion matrices as a compressed NumPy file, whole or not at all.

    Args:
        path: Path of the file.
        confusion: Matrices to write.

    Raises:
        OSError: If the file cannot be written.

    Example:
        >>> write_image_confusion('one.npz', ImageConfusion(['a.png'], ['road'], 100, [0], [0], [30]))
        >>> read_image_confusion('one.npz').images
        ['a.png']
    """
    about = dict(images=confusion.images, classes=confusion.classes, iteration=confusion.iteration)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        **{name: getattr(confusion, name).astype(np.uint32) for name in ARRAYS},
    )
    write_atomically(path, file.getvalue())


def read_image_confusion(path: str | Path) -> ImageConfusion:
    """Read confusion matrices. The file may be from others: nothing in it is executed, and its size is limited.

    Args:
        path: Path of a file that :func:`write_image_confusion` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST:
            raise ValueError(f'it unpacks to {size} bytes, more than {LARGEST}')
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(file['about'].tobytes())
            arrays = [file[name] for name in ARRAYS]
        images, classes, iteration = about['images'], about['classes'], about['iteration']
        _check(images, classes, iteration, arrays)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise ValueError(
            f'{path} must hold the confusion matrices of a validation, but cannot be read '
            f'({str(error) or type(error).__name__}); remove it, or validate again'
        ) from None
    return ImageConfusion(images, classes, iteration, *arrays)


def _check(images: list[str], classes: list[str], iteration: int, arrays: list[np.ndarray]) -> None:
    names = (
        isinstance(images, list) and isinstance(classes, list) and {type(name) for name in images + classes} == {str}
    )
    if not names or not isinstance(iteration, int):
        raise ValueError('images and classes must be lists of names, and iteration a number')
    if any(array.dtype != np.uint32 or array.ndim != 1 or len(array) != len(arrays[0]) for array in arrays):
        raise ValueError(f'{", ".join(ARRAYS)} must be lists of uint32 with one length')
    for array, end, name in zip(arrays, (len(images), len(classes) ** 2), ARRAYS):
        if len(array) and array.max() >= end:
            raise ValueError(f'{name} must lie in 0..{end - 1}, but reaches {array.max()}')
