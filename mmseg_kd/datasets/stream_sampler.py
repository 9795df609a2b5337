from mmseg.registry import DATA_SAMPLERS

from .semi_supervised import SemiSupervisedDataset
from .view_sampler import InfiniteViewSampler


@DATA_SAMPLERS.register_module()
class StreamSampler(InfiniteViewSampler):
    """Endless item numbers rank, rank + W, rank + 2 W, ... for W processes.

    The items of :class:`SemiSupervisedDataset` depend only on their number. Therefore W processes with batches of B
    see the same items as one process with batches of W B, and a resumed run continues with the next batch. Training
    must be counted in iterations.

    Args:
        dataset: Data set whose ``seed`` the sampler sets.
        seed: Seed of the order of the images and of all augmentations. None for the run's seed
            (``randomness=dict(seed=...)``).

    Raises:
        ValueError: If the data set is not a :class:`SemiSupervisedDataset`.

    Example:
        >>> from itertools import islice
        >>> from mmseg_kd.datasets import ViewDataset
        >>> dataset = SemiSupervisedDataset.__new__(SemiSupervisedDataset)  # the numbers do not depend on its images
        >>> dataset.labeled, dataset.unlabeled, dataset.images = range(2), range(6), ViewDataset([])
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
        super().__init__(dataset, shuffle=False, seed=seed)
