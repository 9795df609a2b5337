import itertools
from collections.abc import Iterator

from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from .semi_supervised import SemiSupervisedDataset


@DATA_SAMPLERS.register_module()
class StreamSampler(Sampler):
    """Count: rank, rank + W, rank + 2 W, ... without end, for W processes.

    :class:`SemiSupervisedDataset` makes its items of the number alone, so W processes with batches of B draw together
    what one process draws with batches of W B, and a resumed training goes on with the next batch. It is for training
    by iterations.

    Args:
        dataset: whose ``seed`` is set.
        seed: decides the order of the images and every augmentation; by default that of the run
            (``randomness=dict(seed=...)``), without which a resumed run cannot draw the same again.

    Raises:
        ValueError: if the data set is another.
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
        """Start after ``num_samples`` items of this process; MMEngine calls it to resume without loading them."""
        self._start = num_samples
