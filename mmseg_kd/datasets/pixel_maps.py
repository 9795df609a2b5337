"""Where the pixels of a transformed image come from, as an affine map; and cutting images by such maps.

A map is a matrix (2, 3) that gives the place (x, y) of a pixel in the image before from its place (x, y, 1) in the
image after. Places are those of pixel centers: the first pixel is at 0.
"""

from collections.abc import Sequence

import cv2
import numpy as np

POINTS = 65  # rows and columns of the grid of pixels that are compared
ALMOST = 1e-6  # the error of a fit to whole numbers
FAR = 1e6  # a place outside of every image


def identity() -> np.ndarray:
    """The map of an image that stays as it is."""
    return np.eye(2, 3)


def resizing(before: Sequence[int], after: Sequence[int]) -> np.ndarray:
    """The map of an image that is resized, from its height and width before and after.

    Example:
        >>> resizing((4, 8), (2, 4)).tolist()  # the first pixel lies between the first two
        [[2.0, 0.0, 0.5], [0.0, 2.0, 0.5]]
    """
    y, x = (old / new for old, new in zip(before, after))
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])


def joined(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """The map of two transforms, one after the other."""
    return np.column_stack([earlier[:, :2] @ later[:, :2], earlier[:, :2] @ later[:, 2] + earlier[:, 2]])


def marks(size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of all pixels as two label maps (H, W). They are negative, unlike the filling of transforms.

    Example:
        >>> marks((1, 3))[0].tolist()
        [[-1, -2, -3]]
    """
    height, width = size
    columns, rows = (np.empty((height, width), np.int16 if max(size) < 2**15 else np.float32) for _ in range(2))
    columns[:], rows[:] = -1 - np.arange(width), -1 - np.arange(height)[:, None]
    return columns, rows


def find_map(columns: np.ndarray, rows: np.ndarray, before: Sequence[int], resizes: bool = False) -> np.ndarray | None:
    """The map of a transform, from :func:`marks` that it has moved as it moves label maps; None if it is not affine.

    Crops, flips and rotations by right angles are exact. So is resizing, whose map follows from the sizes. Others are
    fitted, with an error of some hundredths of a pixel.

    Args:
        columns: Moved columns (H, W).
        rows: Moved rows (H, W).
        before: Height and width of the image before the transform.
        resizes: Whether the transform does nothing but resizing.

    Example:
        >>> columns, rows = (each[1:, ::-1] for each in marks((3, 3)))  # crop and flip
        >>> find_map(columns, rows, (3, 3)).tolist()
        [[-1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]
    """
    grid = [np.unique(np.linspace(0, side - 1, POINTS).round().astype(int)) for side in columns.shape]
    x, y = (-1.0 - each[np.ix_(*grid)] for each in (columns, rows))
    known: np.ndarray = ((columns < 0) & (rows < 0)).astype(np.uint8)
    if not known.all():  # RandomRotFlip interpolates label maps, also with the filling beside them
        inner: np.ndarray = cv2.erode(known, np.ones((3, 3)), borderValue=0)
        known = inner if inner[np.ix_(*grid)].any() else known
    kept = known[np.ix_(*grid)] > 0
    if not kept.any():  # nothing but filling
        return np.array([[1, 0, -FAR], [0, 1, -FAR]])
    at_y, at_x = (each[kept] for each in np.meshgrid(*grid, indexing='ij'))
    places, sources = np.column_stack([at_x, at_y, np.ones(len(at_x))]), np.column_stack([x[kept], y[kept]])
    found = resizing(before, columns.shape)
    # Label maps are resized to the nearest pixel, which may be half a step away.
    if kept.all() and (np.abs(places @ found.T - sources) <= np.maximum(found.diagonal(), 1) / 2 + 0.51).all():
        # A crop by one pixel moves label maps as resizing by one pixel does.
        fitted = found if resizes else _fit(places, sources)
        return fitted if np.array_equal(fitted[:, :2], np.eye(2)) else found
    fitted = _fit(places, sources)
    return fitted if (np.abs(places @ fitted.T - sources) <= 1).all() else None


def cut(image: np.ndarray, matrix: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The part of an image that a map shows, without interpolation where that is possible, otherwise bilinear.

    Args:
        image: Image (H, W) or (H, W, C).
        matrix: Map from places in the result to places in the image.
        size: Height and width of the result, which is 0 outside of the image.

    Example:
        >>> image = np.arange(12).reshape(3, 4)
        >>> cut(image, np.array([[-1, 0, 3], [0, 1, 2]]), (2, 2)).tolist()  # flipped, from the last row on
        [[11, 10], [0, 0]]
    """
    height, width = image.shape[:2]
    linear, (x, y) = np.asarray(matrix, float)[:, :2], np.asarray(matrix, float)[:, 2]
    whole = np.abs([x - round(x), y - round(y)]).max() < ALMOST
    if whole and not linear[0, 1] and not linear[1, 0] and (np.abs(linear.diagonal()) == 1).all():
        result = np.zeros((*size, *image.shape[2:]), image.dtype)
        sides = ((linear[1, 1], round(y), size[0], height), (linear[0, 0], round(x), size[1], width))
        (to_y, from_y), (to_x, from_x) = (_overlap(int(step), *side) for step, *side in sides)
        result[to_y, to_x] = image[from_y, from_x]
        return result
    right, below = size[1] - 1, size[0] - 1
    corners = np.array([[0, 0], [right, 0], [0, below], [right, below]]) @ linear.T + (x, y)
    # OpenCV's sizes are limited, so it gets the part that it needs.
    low = np.clip(np.floor(corners.min(0)).astype(int) - 1, 0, (width - 1, height - 1))
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 2, low + 1, (width, height))
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    moved = np.column_stack([linear, np.array([x, y]) - low])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    channels = part.reshape(*part.shape[:2], -1)
    result = np.dstack(
        [  # four channels at once at most
            cv2.warpAffine(
                channels[..., i : i + 4], moved, tuple(size)[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
            for i in range(0, channels.shape[2], 4)
        ]
    ).reshape(*size, *image.shape[2:])
    if (corners < -0.5).any() or (corners > np.array([width, height]) - 0.5).any():
        at_x, at_y = np.arange(size[1]), np.arange(size[0])[:, None]
        for (along, across, offset), side in zip(np.column_stack([linear, (x, y)]), (width, height)):
            place = along * at_x + across * at_y + offset
            result[(place < -0.5 - ALMOST) | (place > side - 0.5 + ALMOST)] = 0
    return result


def _fit(places: np.ndarray, sources: np.ndarray) -> np.ndarray:
    fitted = np.linalg.lstsq(places, sources, rcond=None)[0].T
    whole = fitted.round() + 0.0  # no -0.0
    return whole if np.abs(places @ (fitted - whole).T).max() < ALMOST else fitted


def _overlap(step: int, start: int, size: int, side: int) -> tuple[slice, slice]:
    """Slices of the result and of the image, along one axis, where the result shows the image."""
    first, last = (0 - start, side - 1 - start) if step == 1 else (start - side + 1, start)
    first, last = max(first, 0), min(last, size - 1)
    if first > last:
        return slice(0, 0), slice(0, 0)
    begin, end = start + step * first, start + step * last
    return slice(first, last + 1), slice(begin, end - 1 if end else None, -1) if step == -1 else slice(begin, end + 1)
