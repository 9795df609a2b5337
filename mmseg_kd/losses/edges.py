"""Edges between the classes of a label map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

BITS = 63  # classes per word; the sign bit is not used


def edge_shares(
    labels: Tensor, classes: int, size: Sequence[int], kernel: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Share of each cell of a grid that lies on the edge of a class.

    A pixel lies on the edge of class c if the window ``kernel`` x ``kernel`` around it holds c and something else,
    either another class or ignored pixels: the dilation of the class minus its erosion. The window is cut off at the
    border of the image, which is no edge. The share is the mean over the pixels of a cell (adaptive average pooling).

    A class is a bit: one word of a pixel holds the bits of 63 classes, which are found and counted together. No map
    of a class is formed at the resolution of the labels.

    Args:
        labels: Integers (N, H, W), with 255 for ignored pixels, which have no edge of their own but make one next to
            them.
        classes: The number of classes; all labels that are not ignored are less.
        size: The size (h, w) of the grid.
        kernel: The odd side of the window, in pixels of the labels; a straight edge is ``kernel`` - 1 pixels wide.
        dtype: The dtype of the result.

    Returns:
        Tensor: The shares (N, classes, h, w), in 0 to 1.
    """
    # Ignored pixels are one class more, which is left out in the end.
    labels = labels.long().clamp_max(classes)[:, None]
    words = torch.arange(classes // BITS + 1, device=labels.device)[:, None, None]
    held = torch.where(labels // BITS == words, torch.ones_like(labels) << labels % BITS, 0)
    for dim in (2, 3):
        held = _dilate(held, kernel, dim)
    # A word with one class becomes zero without its lowest bit.
    several = ((held & (held - 1)) != 0).any(1, keepdim=True) | ((held != 0).sum(1, keepdim=True) > 1)
    digits, heights = _add_cells([held * several], size[0], 2)
    digits, widths = _add_cells(digits, size[1], 3)
    bits = torch.arange(BITS, device=labels.device)[:, None, None]
    counts = sum((digit[:, :, None] >> bits & 1).to(dtype) * 2**i for i, digit in enumerate(digits))
    return counts.flatten(1, 2)[:, :classes] / heights[:, None] / widths


def _dilate(words: Tensor, kernel: int, dim: int) -> Tensor:
    """The classes in the windows of ``kernel`` pixels along ``dim``; windows double until they are wide enough."""
    words, width = _pad(words, dim, kernel // 2, kernel // 2), 1
    while width < kernel:
        step = min(width, kernel - width)
        rest = words.shape[dim] - step
        words, width = words.narrow(dim, 0, rest) | words.narrow(dim, step, rest), width + step
    return words


def _add_cells(digits: list[Tensor], cells: int, dim: int) -> tuple[list[Tensor], Tensor]:
    """Sums of numbers over the cells along ``dim``, and the lengths of the cells.

    Every bit of a word has a number of its own. Its binary digits lie in as many words, lowest first.
    """
    length = digits[0].shape[dim]
    cell = torch.arange(cells, device=digits[0].device)
    starts, ends = cell * length // cells, -(-(cell + 1) * length // cells)
    rounds = (-(-length // cells) + (length % cells > 0) - 1).bit_length()
    places = starts + torch.arange(2**rounds, device=starts.device)[:, None]
    places = places.where(places < ends, length).flatten()
    digits = [_pad(x, dim, 0, 1).index_select(dim, places) for x in digits]
    for _ in range(rounds):
        digits = _add(*zip(*(x.chunk(2, dim) for x in digits)))
    return digits, ends - starts


def _add(x: Sequence[Tensor], y: Sequence[Tensor]) -> list[Tensor]:
    """The digits of the sum of two numbers with equally many digits."""
    total, carry = [x[0] ^ y[0]], x[0] & y[0]
    for a, b in zip(x[1:], y[1:]):
        differ = a ^ b
        total.append(differ ^ carry)
        carry = a & b | differ & carry
    return [*total, carry]


def _pad(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    return F.pad(x, (before, after) if dim == 3 else (0, 0, before, after))
