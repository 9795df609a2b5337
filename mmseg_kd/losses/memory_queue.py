"""What CIRKD remembers of past batches, and what it chooses to remember. Nothing here waits for the GPU."""

import torch
from mmengine.dist import all_gather
from torch import Tensor, nn

from ..constants import IGNORE_INDEX
from .ops import inverse_norm, unit


class MemoryQueue(nn.Module):
    """The latest ``size`` vectors of every class, each class a ring of its own.

    Vectors of unit length are meant, and kept in half precision, which moves a cosine by less than 1e-3. Rings start as
    noise, the same on every process. All processes push the same vectors in the same order (:meth:`push` gathers them),
    and so hold the same rings without being synchronized. Rings are saved and loaded with the model; DDP would
    broadcast them in every step unless ``broadcast_buffers=False``, MMEngine's default.

    Args:
        classes: number of rings.
        size: vectors in a ring.
        channels: numbers in a vector.

    Attributes:
        rows: the rings one after the other, and a last row for what is not to be remembered, always zero.
        pointers: where each ring writes next.
        filled: how many vectors each ring has received, ``size`` at most.
    """

    def __init__(self, classes: int, size: int, channels: int) -> None:
        super().__init__()
        self.classes, self.size = classes, size
        noise = torch.randn(classes * size + 1, channels, dtype=torch.half, generator=torch.Generator().manual_seed(0))
        noise[-1] = 0
        self.register_buffer('rows', noise.mul_(inverse_norm(noise)))
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
        # A ring that receives more than it holds keeps the latest; two vectors never meet in one row.
        kept = (classes < self.classes) & (rank >= arrived[classes] - self.size)
        pointers = torch.cat([self.pointers, self.pointers.new_zeros(1)])
        slots = classes * self.size + (pointers[classes] + rank) % self.size
        self.rows[torch.where(kept, slots, self.classes * self.size)] = keys[order].to(self.rows.dtype)
        self.rows[-1].zero_()
        self.pointers.copy_((self.pointers + arrived[:-1]) % self.size)
        self.filled.copy_((self.filled + arrived[:-1]).clamp_max(self.size))

    def draw(self, count: int) -> Tensor:
        """``count`` vectors of each ring (all, if it holds fewer), (classes * count, channels), at equal random places.

        A ring that is not full is drawn from the places that are, evenly and with repetition; one that has received
        nothing gives its noise.
        """
        places = torch.randperm(self.size, device=self.rows.device)[:count]
        limits = torch.where(self.filled > 0, self.filled, self.size)[:, None]
        starts = self.size * torch.arange(self.classes, device=self.rows.device)[:, None]
        return self.rows[(starts + places * limits // self.size).flatten()]


def _count(labels: Tensor, classes: int) -> Tensor:
    """Pixels of every class in every image, (N, classes), of labels (N, P); a label beyond is an error, void is not."""
    valid = labels != IGNORE_INDEX
    return labels.new_zeros(len(labels), classes).scatter_add(1, labels.where(valid, 0), valid.to(labels.dtype))


def region_keys(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The mean of each class in each image, scaled to length one: (N * classes, C), and their classes.

    The class ``classes`` stands for one that the image lacks.

    Args:
        features: (N, P, C), of length one.
        labels: (N, P).
        classes: how many there are.
    """
    present = _count(labels, classes) > 0
    valid = (labels != IGNORE_INDEX)[..., None]
    index = labels.where(valid[..., 0], 0)[..., None].expand_as(features)
    sums = features.new_zeros(len(features), classes, features.shape[2]).scatter_add(1, index, features.where(valid, 0))
    names = torch.where(present, torch.arange(classes, device=labels.device), classes)
    return unit(sums.flatten(0, 1)), names.flatten()


def pixel_keys(features: Tensor, labels: Tensor, classes: int, count: int) -> tuple[Tensor, Tensor]:
    """Up to ``count`` random pixels of each class in each image: (N * classes * count, C), and their classes.

    The class ``classes`` stands for a place that is left over.

    Args:
        features: (N, P, C).
        labels: (N, P).
        classes: how many there are.
        count: the most that is taken of one class in one image.
    """
    present = _count(labels, classes)
    shuffled = torch.rand(labels.shape, device=labels.device).argsort(1)
    # Stable: within a class, pixels stay in random order. Void comes last.
    names = labels.where(labels != IGNORE_INDEX, classes).gather(1, shuffled)
    order = shuffled.gather(1, names.argsort(dim=1, stable=True))
    rank = torch.arange(count, device=labels.device)
    places = ((present.cumsum(1) - present)[..., None] + rank).clamp_max(labels.shape[1] - 1).flatten(1)
    chosen = order.gather(1, places)[..., None].expand(-1, -1, features.shape[2])
    names = torch.where(rank < present[..., None], torch.arange(classes, device=labels.device)[:, None], classes)
    return features.gather(1, chosen).flatten(0, 1), names.flatten()


def stray_pixel_keys(features: Tensor, labels: Tensor, classes: int, count: int) -> tuple[Tensor, Tensor]:
    """As :func:`pixel_keys`, but of a class with n pixels random ones among the first n of the image, of any class."""
    present = _count(labels, classes)[..., None]
    shuffled = torch.rand(labels.shape, device=labels.device).argsort(1)[:, None]
    # Stable: what lies among the first n comes first, in random order.
    chosen = (shuffled >= present).to(torch.uint8).argsort(dim=2, stable=True)[..., :count]
    order = shuffled.expand(-1, classes, -1).gather(2, chosen).flatten(1)[..., None].expand(-1, -1, features.shape[2])
    rank = torch.arange(chosen.shape[2], device=labels.device)
    names = torch.where(rank < present, torch.arange(classes, device=labels.device)[:, None], classes)
    return features.gather(1, order).flatten(0, 1), names.flatten()
