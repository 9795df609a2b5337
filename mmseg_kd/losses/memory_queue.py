"""The memory of CIRKD: what it keeps of past batches, and how. Nothing here makes the CPU wait for the GPU."""

import torch
from mmengine.dist import all_gather
from torch import Tensor, nn

from ..constants import IGNORE_INDEX
from .ops import inverse_norm, unit


class MemoryQueue(nn.Module):
    """The latest ``size`` vectors of every class, with one ring buffer per class.

    It is made for vectors of unit length, and keeps them in half precision, which changes a cosine by less than 1e-3.
    Rings start as noise, the same on every process. All processes push the same vectors in the same order (:meth:`push`
    gathers them), and so hold the same rings without being synchronized. Rings are saved and loaded with the model. DDP
    would broadcast them in every step unless ``broadcast_buffers=False``, which is MMEngine's default.

    Args:
        classes: The number of rings.
        size: The number of vectors in a ring.
        channels: The number of channels of a vector.

    Attributes:
        rows: The rings one after the other, and a last row for vectors that are not kept, always zero.
        pointers: The next position to write in each ring.
        filled: The number of vectors that each ring has received, at most ``size``.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses.memory_queue import MemoryQueue
        >>> queue = MemoryQueue(classes=2, size=4, channels=3)
        >>> queue.push(torch.eye(3), classes=torch.tensor([0, 0, 1]))
        >>> queue.filled.tolist(), queue.sample(2).shape
        ([2, 1], torch.Size([4, 3]))
    """

    rows: Tensor
    pointers: Tensor
    filled: Tensor

    def __init__(self, classes: int, size: int, channels: int) -> None:
        super().__init__()
        self.classes, self.size = classes, size
        noise = torch.randn(classes * size + 1, channels, dtype=torch.half, generator=torch.Generator().manual_seed(0))
        noise[-1] = 0
        self.register_buffer('rows', noise.mul_(inverse_norm(noise.float())))
        self.register_buffer('pointers', torch.zeros(classes, dtype=torch.long))
        self.register_buffer('filled', torch.zeros(classes, dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Tensor, classes: Tensor) -> None:
        """Write vectors (K, channels) of all processes into the rings of their ``classes`` (K,), oldest first.

        Vectors of the class ``self.classes`` are dropped. K must be the same on all processes.
        """
        keys, classes = torch.cat(all_gather(keys.contiguous())), torch.cat(all_gather(classes.contiguous()))
        order = classes.argsort(dim=0, stable=True)
        classes = classes[order]
        arrived = self.pointers.new_zeros(self.classes + 1).scatter_add(0, classes, torch.ones_like(classes))
        rank = torch.arange(len(classes), device=classes.device) - (arrived.cumsum(0) - arrived)[classes]
        # A ring that receives more than it holds keeps the latest, so that no row is written twice.
        kept = (classes < self.classes) & (rank >= arrived[classes] - self.size)
        pointers = torch.cat([self.pointers, self.pointers.new_zeros(1)])
        slots = classes * self.size + (pointers[classes] + rank) % self.size
        self.rows[torch.where(kept, slots, self.classes * self.size)] = keys[order].to(self.rows.dtype)
        self.rows[-1].zero_()
        self.pointers.copy_((self.pointers + arrived[:-1]) % self.size)
        self.filled.copy_((self.filled + arrived[:-1]).clamp_max(self.size))

    def sample(self, count: int) -> Tensor:
        """Sample ``count`` vectors of each ring (all, if it holds fewer), (classes * count, channels), at the same
        random positions.

        A ring that is not full is sampled from its filled part, evenly and with repetition; a ring that has received
        nothing gives its noise.
        """
        places = torch.randperm(self.size, device=self.rows.device)[:count]
        limits = torch.where(self.filled > 0, self.filled, self.size)[:, None]
        starts = self.size * torch.arange(self.classes, device=self.rows.device)[:, None]
        return self.rows[(starts + places * limits // self.size).flatten()]


def _count(labels: Tensor, classes: int) -> Tensor:
    """The number of pixels of every class in every image, (N, classes), of labels (N, P).

    Ignored pixels are left out; any other label beyond the classes is an error.
    """
    valid = labels != IGNORE_INDEX
    return labels.new_zeros(len(labels), classes).scatter_add(1, labels.where(valid, 0), valid.to(labels.dtype))


def region_keys(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The mean of each class in each image, scaled to length one: (N * classes, C), and their classes.

    The class ``classes`` marks a class that the image lacks.

    Args:
        features: The features (N, P, C), of length one.
        labels: The labels (N, P).
        classes: The number of classes.
    """
    present = _count(labels, classes) > 0
    valid = (labels != IGNORE_INDEX)[..., None]
    index = labels.where(valid[..., 0], 0)[..., None].expand_as(features)
    sums = features.new_zeros(len(features), classes, features.shape[2]).scatter_add(1, index, features.where(valid, 0))
    names = torch.where(present, torch.arange(classes, device=labels.device), classes)
    return unit(sums.flatten(0, 1)), names.flatten()


def pixel_keys(features: Tensor, labels: Tensor, classes: int, count: int) -> tuple[Tensor, Tensor]:
    """Up to ``count`` random pixels of each class in each image: (N * classes * count, C), and their classes.

    The class ``classes`` marks an unused row.

    Args:
        features: The features (N, P, C).
        labels: The labels (N, P).
        classes: The number of classes.
        count: The largest number of pixels of one class in one image.
    """
    present = _count(labels, classes)
    shuffled = torch.rand(labels.shape, device=labels.device).argsort(1)
    # A stable sort keeps the pixels of a class in random order. Ignored pixels come last.
    names = labels.where(labels != IGNORE_INDEX, classes).gather(1, shuffled)
    order = shuffled.gather(1, names.argsort(dim=1, stable=True))
    rank = torch.arange(count, device=labels.device)
    places = ((present.cumsum(1) - present)[..., None] + rank).clamp_max(labels.shape[1] - 1).flatten(1)
    chosen = order.gather(1, places)[..., None].expand(-1, -1, features.shape[2])
    names = torch.where(rank < present[..., None], torch.arange(classes, device=labels.device)[:, None], classes)
    return features.gather(1, chosen).flatten(0, 1), names.flatten()


def stray_pixel_keys(features: Tensor, labels: Tensor, classes: int, count: int) -> tuple[Tensor, Tensor]:
    """The same shapes as :func:`pixel_keys`, with the pixels that CIRKD's published code takes.

    For a class with n pixels, these are random ones among the first n pixels of the image, of any class.
    """
    present = _count(labels, classes)[..., None]
    shuffled = torch.rand(labels.shape, device=labels.device).argsort(1)[:, None]
    # A stable sort puts the first n pixels of the image first, in random order.
    chosen = (shuffled >= present).to(torch.uint8).argsort(dim=2, stable=True)[..., :count]
    order = shuffled.expand(-1, classes, -1).gather(2, chosen).flatten(1)[..., None].expand(-1, -1, features.shape[2])
    rank = torch.arange(chosen.shape[2], device=labels.device)
    names = torch.where(rank < present, torch.arange(classes, device=labels.device)[:, None], classes)
    return features.gather(1, order).flatten(0, 1), names.flatten()
