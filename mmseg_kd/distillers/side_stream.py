"""Work on a CUDA stream of its own, beside that of the training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


class SideStream:
    """Run work on a CUDA stream of its own, so that the GPU may execute it beside other work.

    The side stream waits for the training's stream before the work, and the training's stream waits for the side
    stream right behind it. So nothing runs side by side unless the caller says, with :func:`beside`, where the values
    are first needed. Each work waits for all that was launched before it. Therefore the memory of earlier values is
    never used again too early, and needs no ``record_stream``.

    On other devices the work simply runs.

    Args:
        cuda: The module with the streams; the default is ``torch.cuda``.

    Example:
        >>> import torch
        >>> from mmseg_kd.distillers.side_stream import SideStream, beside
        >>> stream = SideStream()
        >>> with beside([stream]):
        ...     doubled = stream.run(lambda: torch.ones(2) * 2, torch.device('cpu'))
        ...     # other work of the GPU; the values must not be read here
        >>> doubled
        tensor([2., 2.])
    """

    def __init__(self, cuda: Any = None) -> None:
        self._cuda = torch.cuda if cuda is None else cuda
        self._streams: dict[torch.device, Any] = {}
        self._unjoined: list[torch.device] = []
        self.joins_at_once = True

    # A training step that is compiled as a whole traces the work, and not the streams.
    @torch.compiler.disable(recursive=False)
    def run(self, work: Callable[[], Any], device: torch.device) -> Any:
        """Launch work on the side stream of a device, and return its result.

        Args:
            work: A function that launches kernels. It must not leave a graph for autograd.
            device: The device of its tensors.
        """
        if device.type != 'cuda':
            return work()
        if device not in self._streams:
            self._streams[device] = self._cuda.Stream(device)
        stream = self._streams[device]
        stream.wait_stream(self._cuda.current_stream(device))
        self._unjoined.append(device)
        try:
            with self._cuda.stream(stream):
                return work()
        finally:
            if self.joins_at_once:
                self.join()

    def join(self) -> None:
        """Let the current streams wait for all work so far."""
        for device in self._unjoined:
            self._cuda.current_stream(device).wait_stream(self._streams[device])
        self._unjoined.clear()


@contextmanager
def beside(streams: Iterable[SideStream]) -> Iterator[None]:
    """Let the work of side streams run beside the rest of this block. Its values may be read behind the block only.

    Args:
        streams: The side streams.
    """
    streams = list(streams)
    for stream in streams:
        stream.joins_at_once = False
    try:
        yield
    finally:
        for stream in streams:
            stream.joins_at_once = True
            stream.join()
