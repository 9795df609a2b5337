"""The images of a data set under one numbering, with ids to name them by."""
import os.path as osp
from collections import Counter
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

NAMED = 3  # ids in a message


class ImageList:
    """The images of a data set, or of those that ``ConcatDataset`` joins, in their order.

    The id of an image is its path below its data set's ``data_prefix.img_path``, without ``img_suffix``. The last part
    of it will do where no other image shares it: both ``jena/jena_000078_000019`` and ``jena_000078_000019``.

    Args:
        config: of the data set.
        key: where that stands in the config, for messages.

    Raises:
        ValueError: if it is empty, or no such data set.
    """

    def __init__(self, config: dict, key: str) -> None:
        self.key = key
        try:
            dataset = DATASETS.build(config)
            if hasattr(dataset, 'full_init'):
                dataset.full_init()
        except ValueError as error:
            # What MMEngine says of a data set without an image.
            if 'need at least one array' not in str(error):
                raise
            raise ValueError(f'{key}: no image was found; check its data_root ("{config.get("data_root", "")}"), '
                             'data_prefix, img_suffix and ann_file') from None
        self.metainfo = dataset.metainfo if hasattr(dataset, 'metainfo') else {}
        self._parts = list(_parts(dataset))
        for part in self._parts:
            if not hasattr(part, 'get_data_info') or not hasattr(part, 'pipeline') or hasattr(part, 'dataset'):
                raise ValueError(f'{key} must be a data set that lists images, as BaseSegDataset does, or a '
                                 f'ConcatDataset of such, but got {type(part).__name__}; give the data set that it '
                                 'wraps')
        self._ends = np.cumsum([len(part) for part in self._parts])
        if not len(self):
            raise ValueError(f'{key} must hold at least one image, but is empty; check its ann_file')

    def __len__(self) -> int:
        return int(self._ends[-1])

    def locate(self, index: int) -> Tuple[Dataset, int]:
        """The data set that an image belongs to, and its number there."""
        part = int(np.searchsorted(self._ends, index, side='right'))
        return self._parts[part], int(index) - (int(self._ends[part - 1]) if part else 0)

    def info(self, index: int) -> dict:
        """What its data set knows of an image before it is loaded."""
        part, index = self.locate(index)
        return part.get_data_info(index)

    def transforms(self, index: int) -> Sequence:
        """The transforms of the data set that an image belongs to."""
        return self.locate(index)[0].pipeline.transforms

    def paths(self) -> List[str]:
        """The image files."""
        return [self.info(index)['img_path'] for index in range(len(self))]

    def ids(self) -> List[str]:
        """The ids of all images: the last part of the path where that tells them apart, and the whole elsewhere."""
        whole = self._whole_ids()
        last = [osp.basename(name) for name in whole]
        return last if len(set(last)) == len(last) else whole

    def find(self, ids: Sequence[str], source: str) -> np.ndarray:
        """The places of images, given by their ids, in ascending order.

        Args:
            ids: each once.
            source: where they come from, for messages.

        Raises:
            ValueError: if one does not exist, is ambiguous or is repeated; the first few are named.
        """
        places: Dict[str, Optional[int]] = {}
        whole = self._whole_ids()
        for names in (list(map(osp.basename, whole)), whole):
            repeated = {name for name, count in Counter(names).items() if count > 1}
            places.update((name, None if name in repeated else index) for index, name in enumerate(names))
        unknown = [name for name in ids if name not in places]
        if unknown:
            example = min(places)
            raise ValueError(f'{source}: {len(unknown)} of {len(ids)} ids are not among the {len(self)} images of '
                             f'{self.key} ({_some(unknown)}); an id there is such as {example}: check the list, or '
                             f'data_root, data_prefix, img_suffix and ann_file of {self.key}')
        ambiguous = [name for name in ids if places[name] is None]
        if ambiguous:
            raise ValueError(f'{source}: {len(ambiguous)} of {len(ids)} ids stand for more than one image of '
                             f'{self.key} ({_some(ambiguous)}); write them with their folder, as <folder>/<name>')
        found, counts = np.unique([places[name] for name in ids], return_counts=True)
        if (counts > 1).any():
            raise ValueError(f'{source}: {np.count_nonzero(counts > 1)} images stand in it more than once '
                             f'({_some([whole[index] for index in found[counts > 1]])}); list each once')
        return found

    def _whole_ids(self) -> List[str]:
        return [
            _whole_id(part,
                      part.get_data_info(index)['img_path']) for part in self._parts for index in range(len(part))
        ]


def overlap(paths: Sequence[str], others: Sequence[str]) -> List[str]:
    """The files that are among both, sorted."""
    return sorted({osp.abspath(path) for path in paths} & {osp.abspath(path) for path in others})


def _whole_id(dataset: Dataset, path: str) -> str:
    folder = (getattr(dataset, 'data_prefix', None) or {}).get('img_path') or ''
    name = path[len(folder):].lstrip('/') if folder and path.startswith(folder) else osp.basename(path)
    suffix = getattr(dataset, 'img_suffix', None)
    if isinstance(suffix, str) and suffix and name.endswith(suffix):
        return name[:-len(suffix)]
    return osp.splitext(name)[0]


def _parts(dataset: Dataset) -> Iterator[Dataset]:
    for part in getattr(dataset, 'datasets', None) or [dataset]:
        if part is dataset:
            yield part
        else:
            yield from _parts(part)


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:NAMED]) + (', ...' if len(names) > NAMED else '')
