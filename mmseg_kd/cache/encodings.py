"""Encodings of teacher outputs: what is stored of a map, and what is read back."""

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

LARGEST = torch.finfo(torch.float16).max
Parts = dict[str, Tensor]


class Float16:
    """Half precision, for maps of any shape; the relative error is at most 2**-11.

    Args:
        shape: Shape of the map of one image, without the batch.

    Example:
        >>> encoding = Float16((2, 1, 1))
        >>> encoding.decode(encoding.encode(torch.tensor([[[[0.5]], [[3.0]]]]))).flatten().tolist()
        [0.5, 3.0]
        >>> encoding.bytes
        4
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)

    @property
    def bytes(self) -> int:
        """Bytes that one image takes."""
        return 2 * _size(self.shape)

    def encode(self, values: Tensor) -> Parts:
        """What is stored of maps (N, ...), by name; each part begins with N.

        Raises:
            ValueError: If a value is too large for half precision.
        """
        largest = values.masked_fill(values == -torch.inf, 0).abs().amax().item() if values.numel() else 0
        if not largest <= LARGEST:
            raise ValueError(f'values must be at most {LARGEST:g} for float16, but reach {largest:g}')
        return dict(values=values.half())

    def decode(self, parts: Parts) -> Tensor:
        """The maps (N, ...) in float32, on the device of their parts."""
        return parts['values'].float()


class Int8:
    """8 bits per value, with a scale and an offset for each channel of each image.

    The error is at most 1/510 of the range of the channel in that image.

    Args:
        shape: Shape of the map of one image: (C, H, W), or (L, C) and (C,), whose channels come last.

    Example:
        >>> encoding = Int8((2, 1, 3))
        >>> maps = torch.tensor([[[[0.0, 1.0, 2.0]], [[-5.0, 5.0, 250.0]]]])
        >>> encoding.decode(encoding.encode(maps)).round().flatten().tolist()
        [0.0, 1.0, 2.0, -5.0, 5.0, 250.0]
        >>> encoding.bytes
        22
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        axes = len(self.shape)
        channel = 1 if axes == 3 else axes  # counted with the batch
        self._others = [axis for axis in range(1, axes + 1) if axis != channel]
        self._channels = self.shape[channel - 1]

    @property
    def bytes(self) -> int:
        """Bytes that one image takes."""
        return _size(self.shape) + 8 * self._channels

    def encode(self, values: Tensor) -> Parts:
        """What is stored of maps (N, ...), by name; each part begins with N.

        Raises:
            ValueError: If a value is not finite.
        """
        values = values.float()
        least, most = (
            (values.amin(self._others, keepdim=True), values.amax(self._others, keepdim=True))
            if self._others
            else (values, values)
        )
        scale = (most - least) / 255
        if not torch.isfinite(scale).all():
            raise ValueError('values must be finite for int8, but are not')
        levels = ((values - least) / scale.clamp_min(torch.finfo(torch.float32).tiny)).round()
        return dict(levels=levels.to(torch.uint8), scale=scale, offset=least)

    def decode(self, parts: Parts) -> Tensor:
        """The maps (N, ...) in float32, on the device of their parts."""
        return parts['levels'].float() * parts['scale'] + parts['offset']


class TopLogits:
    r"""The K largest logits of each pixel, and one value for all other classes together, in half precision.

    Softmax over the stored logits gives the K classes their probabilities, and the other C - K classes share the rest
    evenly:

    .. math:: r = \log \sum_{c \notin top_K} e^{z_c} - \log (C - K)

    The logits are not shifted, so losses that compare pixels of one class (:class:`~mmseg_kd.losses.CWDLoss`) read the
    values of the teacher too.

    Args:
        shape: Shape (C, H, W) of the logits of one image.
        k: Number of classes.

    Raises:
        ValueError: If not all of K >= 1 and K < C hold.

    Example:
        >>> encoding = TopLogits((4, 1, 1), k=2)
        >>> logits = torch.tensor([0.1, 0.6, 0.25, 0.05]).log().reshape(1, 4, 1, 1)
        >>> [round(p, 3) for p in encoding.decode(encoding.encode(logits)).softmax(1).flatten().tolist()]
        [0.075, 0.6, 0.25, 0.075]
        >>> encoding.bytes
        8
    """

    def __init__(self, shape: Sequence[int], k: int) -> None:
        self.shape = tuple(shape)
        self._classes, self._k = self.shape[0], k
        if len(self.shape) != 3 or not 1 <= k < self._classes:
            raise ValueError(
                f'top{k} needs logits (C, H, W) of more than {k} classes, but they have the shape {self.shape}; store '
                'float16'
            )

    @property
    def bytes(self) -> int:
        """Bytes that one image takes."""
        index = torch.empty((), dtype=self._index).element_size()
        return _size(self.shape[1:]) * (self._k * (2 + index) + 2)

    @property
    def _index(self) -> torch.dtype:
        return torch.uint8 if self._classes <= 256 else torch.int16

    def encode(self, values: Tensor) -> Parts:
        """What is stored of logits (N, C, H, W), by name; each part begins with N.

        Raises:
            ValueError: If a logit is too large for half precision.
        """
        values = values.float()
        largest = values.amax().item()
        if not largest <= LARGEST:
            raise ValueError(f'logits must be at most {LARGEST:g}, but reach {largest:g}')
        top, classes = values.topk(self._k, dim=1)
        rest = torch.logsumexp(values.scatter(1, classes, -torch.inf), dim=1, keepdim=True)
        # Below -LARGEST, a probability is 0 in any case.
        stored = torch.cat([top, rest - math.log(self._classes - self._k)], dim=1).clamp_min(-LARGEST)
        return dict(logits=stored.half(), classes=classes.to(self._index))

    def decode(self, parts: Parts) -> Tensor:
        """The logits (N, C, H, W) in float32, on the device of their parts."""
        logits = parts['logits'].float()
        return logits[:, self._k :].repeat(1, self._classes, 1, 1).scatter_(1, parts['classes'].long(), logits[:, :-1])


def encoding(name: str, shape: Sequence[int]) -> Any:
    """The encoding of a name.

    Args:
        name: ``'float16'``, ``'int8'``, or ``'top4'`` with any number.
        shape: Shape of the map of one image, without the batch.

    Raises:
        ValueError: If there is no such encoding, or if it does not fit the shape.

    Example:
        >>> type(encoding('top4', (19, 64, 128))).__name__
        'TopLogits'
    """
    top = re.fullmatch(r'top([1-9]\d*)', name)
    if top:
        return TopLogits(shape, int(top[1]))
    if name not in ('float16', 'int8'):
        raise ValueError(f'an encoding must be float16, int8 or top<K>, such as top4, but is {name!r}')
    return Float16(shape) if name == 'float16' else Int8(shape)


def _size(shape: Sequence[int]) -> int:
    return torch.Size(shape).numel()
