"""Where the classes of a label map meet."""
from typing import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .ops import IGNORE_INDEX


def edge_shares(labels: Tensor, classes: int, size: Sequence[int], kernel: int,
                dtype: torch.dtype = torch.float32) -> Tensor:
    r"""Share of each cell of a grid that lies on the edge of a class.

    A pixel lies on the edge of class c if the window ``kernel`` x ``kernel`` around it (cut off at the border of the
    image, which is no edge) holds c and something else, be it another class or void: the dilation of the class minus
    its erosion. The share is the mean over the pixels of a cell (adaptive average pooling).

    Args:
        labels: (N, H, W) integers, 255 = void. Void has no edge of its own, but what borders on it has.
        classes: number of classes; all labels but void are less.
        size: (h, w) of the grid.
        kernel: odd, in pixels of the labels; a straight edge is ``kernel`` - 1 pixels wide.
        dtype: of the result.

    Returns:
        Tensor: (N, classes, h, w) in 0 to 1.
    """
    radius = kernel // 2
    values = labels[:, None].float()
    mixed = F.max_pool2d(values, kernel, 1, radius) != -F.max_pool2d(-values, kernel, 1, radius)
    # Only the classes that occur are spelled out: of 150 few do, and all at full resolution would not fit.
    present = torch.unique(labels)
    present = present[present != IGNORE_INDEX].long()
    shares = values.new_zeros(len(labels), classes, *size, dtype=dtype)
    if len(present):
        for image, share, edge in zip(labels, shares, mixed):
            dilated = F.max_pool2d((image == present[:, None, None]).float(), (1, kernel), 1, (0, radius))
            dilated = F.max_pool2d(dilated, (kernel, 1), 1, (radius, 0))
            share[present] = F.adaptive_avg_pool2d((dilated * edge).to(dtype), tuple(size))
    return shares
