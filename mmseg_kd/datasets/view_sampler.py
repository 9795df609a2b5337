"""The order in which training visits the views of its images."""

import math
from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from .seeding import permutation
from .semi_supervised import SemiSupervisedDataset
from .view_dataset import ViewDataset

ORDER = 0  # number of the random stream
NUMBERED = (ViewDataset, SemiSupervisedDataset)  # data sets whose items have numbers without end


@DATA_SAMPLERS.register_module()
class ViewSampler(Sampler):
    """One pass over the images for each iteration over the sampler; pass k shows view k of every image.

    It takes the place of MMEngine's ``DefaultSampler``. The order depends on the seed and the pass alone. Of W
    processes, each has every W-th image; some images are repeated where W does not divide their number. A position in a
    pass is set without loading an image.

    Args:
        dataset: Data set whose ``seed`` the sampler sets.
        shuffle: Whether every pass has a random order.
        seed: Seed of the order and of all augmentations. None for the run's seed (``randomness=dict(seed=...)``).

    Raises:
        ValueError: If the data set is neither a :class:`ViewDataset` nor a :class:`SemiSupervisedDataset`.

    Example:
        >>> sampler = ViewSampler(ViewDataset(['a', 'b', 'c']), seed=0)
        >>> sampler.start_at(epoch=2, samples=1)
        >>> [divmod(n, 3) for n in sampler]  # view and image
        [(2, 1), (2, 0)]
    """

    def __init__(self, dataset: ViewDataset | SemiSupervisedDataset, shuffle: bool = True, seed: int | None = None):
        if not isinstance(dataset, NUMBERED):
            raise ValueError(
                f'{type(self).__name__} needs a ViewDataset or a SemiSupervisedDataset, but train_dataloader.dataset '
                f"is a {type(dataset).__name__}; wrap it: dataset=dict(type='ViewDataset', dataset=...)"
            )
        self.dataset, self.shuffle = dataset, shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self._rank, self._world = get_dist_info()
        self._epoch = self._skipped = 0
        self._order: tuple[int, int, Any] = (-1, -1, None)  # seed, pass, and the images in their order

    @property
    def seed(self) -> int:
        """Seed of the order and of the augmentations of the data set."""
        return self.dataset.seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self.dataset.seed = seed

    def set_epoch(self, epoch: int) -> None:
        """Choose the pass; MMEngine calls this.

        Args:
            epoch: Number of the pass.
        """
        if epoch != self._epoch:
            self.start_at(epoch, 0)

    def start_at(self, epoch: int, samples: int) -> None:
        """Choose the position where the next iteration starts.

        Args:
            epoch: Number of the pass.
            samples: Samples of that pass that this process has already seen.
        """
        self._epoch, self._skipped = epoch, samples

    def __len__(self) -> int:
        """The number of samples of this process in one pass."""
        return math.ceil(len(self.dataset) / self._world)

    def __iter__(self) -> Iterator[int]:
        # Only the first iteration after a resume begins inside of a pass.
        epoch, skipped, self._skipped = self._epoch, self._skipped, 0
        size = len(self.dataset)
        places = range(self._rank + skipped * self._world, len(self) * self._world, self._world)
        return (self._item(epoch, place % size) for place in places)

    def _item(self, epoch: int, place: int) -> int:
        size = len(self.dataset)
        if not self.shuffle:
            return epoch * size + place
        if self._order[:2] != (self.seed, epoch):
            # Not from the cache, which would keep the orders of eight passes over millions of images.
            self._order = (self.seed, epoch, permutation.__wrapped__(self.seed, ORDER, epoch, size))
        return epoch * size + int(self._order[2][place])


@DATA_SAMPLERS.register_module()
class InfiniteViewSampler(ViewSampler):
    """All passes of :class:`ViewSampler` one after the other, for training that is counted in iterations.

    It takes the place of MMEngine's ``InfiniteSampler``. W processes with batches of B see the same images as one
    process with batches of W B.

    Args:
        dataset: Data set whose ``seed`` the sampler sets.
        shuffle: Whether every pass has a random order.
        seed: Seed of the order and of all augmentations. None for the run's seed (``randomness=dict(seed=...)``).

    Raises:
        ValueError: If the data set is neither a :class:`ViewDataset` nor a :class:`SemiSupervisedDataset`.

    Example:
        >>> from itertools import islice
        >>> sampler = InfiniteViewSampler(ViewDataset(['a', 'b']), shuffle=False, seed=0)
        >>> sampler.skip(3)
        >>> [divmod(n, 2) for n in islice(sampler, 3)]  # view and image
        [(1, 1), (2, 0), (2, 1)]
    """

    def set_epoch(self, epoch: int) -> None:
        """Nothing: passes follow each other by themselves."""

    def skip(self, num_samples: int) -> None:
        """Skip samples of this process without loading them; MMEngine's contract for resuming.

        Args:
            num_samples: Samples that this process has seen since the run began.
        """
        self.start_at(0, num_samples)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        size, place = len(self.dataset), self._rank + self._skipped * self._world
        while True:
            yield self._item(*divmod(place, size))
            place += self._world
