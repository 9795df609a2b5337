"""Square windows over images, for networks that take images of one size only."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Windows:
    """Square windows that cover images: equally spaced along the longer side, after the shorter side got their size.

    This is how EoMT's own image processor covers an image that is not square.

    Args:
        size: The height and width of the images in pixels.
        side: The side of a window in pixels.

    Attributes:
        scaled: The height and width of the resized images, of which the shorter one equals ``side``.
        starts: The first row (of a tall image) or column of each window, in pixels of the resized images.

    Example:
        >>> import torch
        >>> windows = Windows((32, 80), side=16)
        >>> windows.scaled, windows.starts
        ((16, 40), [0, 12, 24])
        >>> images = torch.rand(2, 3, 32, 80)
        >>> parts = windows.cut(images)
        >>> parts.shape
        torch.Size([6, 3, 16, 16])
        >>> torch.allclose(windows.join(parts), windows.resized(images))
        True
    """

    def __init__(self, size: Sequence[int], side: int) -> None:
        height, width = map(int, size)  # tensors while a graph is traced
        factor = side / min(height, width)
        self.side, self.tall = side, height > width
        longer = max(side, round(max(height, width) * factor))
        self.scaled = (longer, side) if self.tall else (side, longer)
        number = math.ceil(longer / side)
        self.starts = [round(i * (longer - side) / max(number - 1, 1)) for i in range(number)]

    def resized(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) whose shorter side has the size of a window."""
        if images.shape[2:] == self.scaled:
            return images
        return F.interpolate(images, size=self.scaled, mode='bilinear', align_corners=False, antialias=True)

    def cut(self, images: Tensor) -> Tensor:
        """Windows (N * number, C, side, side) of images (N, C, H, W); those of one image follow each other."""
        images = self.resized(images)
        parts = [images.narrow(self._axis, start, self.side) for start in self.starts]
        return torch.stack(parts, dim=1).flatten(0, 1)

    def join(self, maps: Tensor) -> Tensor:
        """Maps (N, C, h, w) of whole images from maps (N * number, C, s, s) of windows; overlaps are averaged."""
        number, small = len(self.starts), maps.shape[-1]
        if number == 1:
            return maps
        maps = maps.unflatten(0, (-1, number))
        starts = [round(start * small / self.side) for start in self.starts]
        size = [small, small]
        size[self._axis - 2] = starts[-1] + small
        total, count = maps.new_zeros(len(maps), maps.shape[2], *size), maps.new_zeros(size)
        for index, start in enumerate(starts):
            total.narrow(self._axis, start, small).add_(maps[:, index])
            count.narrow(self._axis - 2, start, small).add_(1)
        return total / count

    @property
    def _axis(self) -> int:
        return 2 if self.tall else 3
