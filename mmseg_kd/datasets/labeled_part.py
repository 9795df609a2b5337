from typing import Any

from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from .image_list import ImageList
from .partitions import Partition, labeled_part


@DATASETS.register_module()
class LabeledPartDataset(Dataset):
    """The labeled part of a data set, alone: what a network learns without the unlabeled images.

    Args:
        labeled: config of the training set, as of :class:`SemiSupervisedDataset`.
        partition: as there.

    Raises:
        ValueError: as there.
    """

    def __init__(self, labeled: dict, partition: Partition) -> None:
        self._images = ImageList(labeled, 'labeled')
        self.labeled = labeled_part(self._images, partition)

    @property
    def metainfo(self) -> dict:
        """That of the labeled data set: classes and palette."""
        return self._images.metainfo

    def listed_images(self) -> list[tuple[Dataset, int]]:
        """The labeled images: the data set that lists each, and its number there."""
        return [self._images.locate(index) for index in self.labeled]

    def __len__(self) -> int:
        return len(self.labeled)

    def __getitem__(self, index: int) -> dict[str, Any]:
        results = self._images.info(self.labeled[index])
        for transform in self._images.transforms(self.labeled[index]):
            results = transform(results)
        return results
