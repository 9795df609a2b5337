from typing import Any

from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from .image_list import ImageList
from .partitions import Partition, labeled_part


@DATASETS.register_module()
class LabeledPartDataset(Dataset):
    """Only the labeled part of a data set, for baselines without the unlabeled images.

    Args:
        labeled: Config of the training set, with its pipeline.
        partition: Choice of the labeled images; see :func:`~mmseg_kd.datasets.partitions.labeled_part`.

    Raises:
        ValueError: If the partition's ids do not exist in the data set, or if its list is empty.

    Example:
        >>> from mmseg_kd.datasets import CamVidDataset
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> root = write_camvid_tree('camvid', images=8, size=(8, 8))
        >>> camvid = dict(type='CamVidDataset', data_root=str(root), data_prefix=dict(img_path='img_dir/train'))
        >>> len(LabeledPartDataset(camvid, dict(fraction=0.25, seed=0)))
        2
    """

    def __init__(self, labeled: dict, partition: Partition) -> None:
        self._images = ImageList(labeled, 'labeled')
        self.labeled = labeled_part(self._images, partition)

    @property
    def metainfo(self) -> dict:
        """Classes and palette of the labeled data set."""
        return self._images.metainfo

    def listed_images(self) -> list[tuple[Dataset, int]]:
        """The labeled images, as pairs of the data set that lists the image and its index there."""
        return [self._images.locate(index) for index in self.labeled]

    def __len__(self) -> int:
        return len(self.labeled)

    def __getitem__(self, index: int) -> dict[str, Any]:
        results = self._images.info(self.labeled[index])
        for transform in self._images.transforms(self.labeled[index]):
            results = transform(results)
        return results
