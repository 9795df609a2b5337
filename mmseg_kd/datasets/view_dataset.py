"""Views of images: augmentations that come back."""

import copy
import zlib
from collections.abc import Iterator
from typing import Any

from mmseg.registry import DATASETS
from torch import Tensor
from torch.utils.data import Dataset

from .seeding import seeded

OWN = ('dataset', 'seed', 'views', 'view_seed', 'config')


@DATASETS.register_module()
class ViewDataset(Dataset):
    """A data set whose random augmentations are numbered: view k of image i is always the same.

    For view k of image i, the generators of Python, NumPy and torch are seeded by :attr:`seed`, i and k, the wrapped
    data set gives its item i, and the generators are restored. So a view depends neither on the worker nor on the items
    before it. Of L images, item n is view n // L of image n % L; n has no upper limit. :class:`ViewSampler` and
    :class:`InfiniteViewSampler` choose the numbers. With ``views`` = K, view k + K is view k again, so pass p over the
    images shows view p % K of each.

    The data sample of an item has its image and its view in ``metainfo['view']``, and with ``views`` also the checksum
    of its image in ``metainfo['pixels']``: a teacher's stored outputs are found, and compared, by them.

    Training adds this wrapper by itself (:mod:`mmseg_kd.engine.views`). Attributes that it lacks are read from, and
    written to, the wrapped data set, so hooks that look at ``train_dataloader.dataset`` work as before.

    Transforms with a generator of their own (Albumentations 1.4 and later) are not replayed.

    Args:
        dataset: Data set, or its config; wrappers that repeat, join or mix data sets may be inside.
        seed: Seed of the augmentations; the samplers above replace it.
        views: Number of views of each image; None for a new one in every pass. A teacher with a cache sets it.
        view_seed: Seed of the augmentations that no sampler replaces, so that runs of other seeds see the same views;
            None for ``seed``.

    Attributes:
        config: Config of the wrapped data set; None if it was given as an object.

    Raises:
        ValueError: If ``views`` is less than 1.

    Example:
        >>> import random
        >>> class Noise(Dataset):
        ...     __len__ = lambda self: 3
        ...     __getitem__ = lambda self, index: (index, random.random())
        >>> views = ViewDataset(Noise())
        >>> views[1] == views[1], views[1] == views[4], views[4] == views.view(image=1, number=1)
        (True, False, True)
    """

    def __init__(
        self, dataset: dict | Dataset, seed: int = 0, views: int | None = None, view_seed: int | None = None
    ) -> None:
        if views is not None and views < 1:
            raise ValueError(f'train_dataloader.dataset.views must be >= 1, but is {views}; None gives endless views')
        self.config = copy.deepcopy(dataset) if isinstance(dataset, dict) else None
        self.dataset: Any = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.seed, self.views, self.view_seed = seed, views, view_seed

    def view(self, image: int, number: int) -> Any:
        """One view of an image.

        Args:
            image: Index of the image in the wrapped data set.
            number: Number of the view, from 0.
        """
        with seeded(self.seed if self.view_seed is None else self.view_seed, image, number):
            item = self.dataset[image]
        sample: Any = item.get('data_samples') if isinstance(item, dict) else None
        if hasattr(sample, 'set_metainfo'):
            numbers: dict[str, Any] = dict(view=(image, number))
            if self.views is not None and isinstance(item.get('inputs'), Tensor):
                numbers['pixels'] = zlib.crc32(item['inputs'].contiguous().numpy())
            sample.set_metainfo(numbers)
        return item

    def get_data_info(self, n: int) -> dict:
        """The wrapped data set's entry of the image of item ``n``, before the image is loaded."""
        return self.dataset.get_data_info(n % len(self))

    def __len__(self) -> int:
        """The number of images."""
        return len(self.dataset)

    def __getitem__(self, n: int) -> Any:
        number, image = divmod(n, len(self))
        return self.view(image, number if self.views is None else number % self.views)

    def __iter__(self) -> Iterator[Any]:
        return (self[n] for n in range(len(self)))

    def __getattr__(self, name: str) -> Any:
        if name in OWN or name.startswith('__'):  # while it is unpickled, it has no attributes yet
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in OWN:
            super().__setattr__(name, value)
        else:
            setattr(self.dataset, name, value)
