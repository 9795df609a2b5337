import itertools
from collections.abc import Iterator

from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from .semi_supervised import SemiSupervisedDataset


@DATA_SAMPLERS.register_module()
class StreamSampler(Sampler):
    """Endless item numbers rank, rank + W, rank + 2 W, ... for W processes.

    The items of :class:`SemiSupervisedDataset` depend only on their number. Therefore W processes with batches of B
    see the same items as one process with batches of W B, and a resumed run continues with the next batch. Training
    must be counted in iterations.

    Args:
        dataset: Data set whose ``seed`` the sampler sets.
        seed: Seed of the order of the images and of all augmentations. None for the run's seed
            (``randomness=dict(seed=...)``); without a fixed seed, a resumed run reads other images.

    Raises:
        ValueError: If the data set is not a :class:`SemiSupervisedDataset`.

    Example:
        >>> from itertools import islice
        >>> dataset = SemiSupervisedDataset.__new__(SemiSupervisedDataset)  # the numbers do not depend on its images
        >>> sampler = StreamSampler(dataset, seed=0)
        >>> sampler.skip(10)
        >>> list(islice(sampler, 3))
        [10, 11, 12]
    """

    def __init__(self, dataset: SemiSupervisedDataset, seed: int | None = None) -> None:
        if not isinstance(dataset, SemiSupervisedDataset):
            raise ValueError(
                'StreamSampler counts for a SemiSupervisedDataset, but train_dataloader.dataset is a '
                f'{type(dataset).__name__}; use sampler=dict(type="InfiniteSampler") with that'
            )
        self.dataset = dataset
        self.seed = dataset.seed = sync_random_seed() if seed is None else seed
        self._rank, self._world = get_dist_info()
        self._start = 0

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self._rank + self._start * self._world, self._world)

    def __len__(self) -> int:
        return len(self.dataset)

    def skip(self, num_samples: int) -> None:
        """Skip ``num_samples`` items of this process; MMEngine calls this to resume without loading them."""
        self._start = num_samples
